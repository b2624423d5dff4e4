from django.contrib import admin
from django.urls import path
from notes import views

urlpatterns = [
    path("", views.notes),
    path("add", views.add),
    path("orm", views.orm),
    path("admin/", admin.site.urls),
]
