"""Migrates when it starts: a database in the dyno's own files ends with it."""

import os

from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "mysite.settings")
application = get_wsgi_application()

from django.contrib.auth.models import User  # noqa: E402
from django.core.management import call_command  # noqa: E402

call_command("migrate", verbosity=0)
if not User.objects.exists():
    User.objects.create_superuser("admin", password=os.environ["ADMIN_PASSWORD"])
