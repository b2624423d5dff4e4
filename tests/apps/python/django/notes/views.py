from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.views.decorators.csrf import csrf_exempt

from .models import Note


def notes(request: HttpRequest) -> HttpResponse:
    zone = timezone.get_current_timezone_name()
    return render(request, "notes.html", {"notes": Note.objects.order_by("id"), "zone": zone})


@csrf_exempt
def add(request: HttpRequest) -> HttpResponse:
    Note.objects.create(text=request.POST["text"])
    return redirect("/")
