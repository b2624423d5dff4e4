from django.db import IntegrityError, connection, transaction
from django.db.models import Count
from django.http import HttpRequest, HttpResponse, JsonResponse
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


def orm(request: HttpRequest) -> JsonResponse:
    """Savepoints, bulk statements, cursors of the server, errors."""
    with transaction.atomic():
        Note.objects.create(text="kept")
        try:
            with transaction.atomic():
                Note.objects.create(text="lost")
                raise ValueError
        except ValueError:
            pass
        Note.objects.bulk_create(Note(text=f"bulk {number}") for number in range(5))
    bulk = Note.objects.filter(text__startswith="bulk")
    answer = {
        "vendor": connection.vendor,
        "counts": dict(Note.objects.values_list("text").annotate(count=Count("id")).filter(text__in=["kept", "lost"])),
        "bulk": [note.text for note in bulk.order_by("-id").iterator(chunk_size=2)][:2],
    }
    with transaction.atomic():
        locked = bulk.select_for_update().first()
        answer["updated"] = bulk.filter(pk=locked.pk).update(text="bulk é%'")
    try:
        with transaction.atomic():
            Note.objects.create(pk=locked.pk, text="again")
    except IntegrityError as error:
        answer["error"] = type(error.__cause__).__name__
    bulk.delete()
    Note.objects.filter(text="kept").delete()
    return JsonResponse(answer)
