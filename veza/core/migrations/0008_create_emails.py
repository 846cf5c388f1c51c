import django.db.models.deletion
import django.db.models.functions.datetime
from django.conf import settings
from django.db import migrations, models

import veza.core.ids
from veza.core.migration_operations import GuardMoves


class Migration(migrations.Migration):
    dependencies = [
        ("core", "0007_add_language_and_time_zone"),
    ]

    operations = [
        migrations.CreateModel(
            name="Email",
            fields=[
                (
                    "id",
                    models.UUIDField(default=veza.core.ids.new_id, editable=False, primary_key=True, serialize=False),
                ),
                ("message", models.CharField(max_length=60)),
                ("address", models.EmailField(blank=True, max_length=254)),
                ("subject", models.CharField(max_length=60)),
                ("subject_id", models.UUIDField()),
                ("occasion", models.CharField(blank=True, max_length=100)),
                ("correlation_id", models.UUIDField(db_index=True)),
                (
                    "status",
                    models.CharField(
                        choices=[
                            ("waiting", "Waiting"),
                            ("sent", "Sent"),
                            ("dropped", "Dropped"),
                            ("failed", "Failed"),
                        ],
                        default="waiting",
                        max_length=10,
                    ),
                ),
                ("attempts", models.PositiveIntegerField(default=0)),
                (
                    "next_attempt_at",
                    models.DateTimeField(blank=True, db_default=django.db.models.functions.datetime.Now(), null=True),
                ),
                ("last_error", models.CharField(blank=True, max_length=300)),
                ("sent_at", models.DateTimeField(blank=True, null=True)),
                ("language", models.CharField(blank=True, max_length=5)),
                ("subject_line", models.CharField(blank=True, max_length=300)),
                ("text", models.TextField(blank=True)),
                ("html", models.TextField(blank=True)),
                ("created_at", models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                (
                    "copy_of",
                    models.ForeignKey(
                        blank=True,
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="copies",
                        to="core.email",
                    ),
                ),
                (
                    "recipient",
                    models.ForeignKey(
                        blank=True,
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="emails",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
            ],
            options={
                "verbose_name": "e-mail",
                "indexes": [
                    models.Index(
                        condition=models.Q(("next_attempt_at__isnull", False)),
                        fields=["next_attempt_at"],
                        name="email_due",
                    )
                ],
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(("status__in", ["waiting", "sent", "dropped", "failed"])),
                        name="email_status_known",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            ("recipient__isnull", False), models.Q(("address", ""), _negated=True), _connector="OR"
                        ),
                        name="email_has_a_recipient",
                    ),
                    models.UniqueConstraint(
                        condition=models.Q(("copy_of__isnull", True)),
                        fields=("subject_id", "message", "occasion", "recipient"),
                        name="one_email_per_fact_and_recipient",
                    ),
                    models.UniqueConstraint(
                        condition=models.Q(("copy_of__isnull", True), ("recipient__isnull", True)),
                        fields=("subject_id", "message", "occasion", "address"),
                        name="one_email_per_fact_and_group",
                    ),
                ],
            },
        ),
        GuardMoves("core_email", ["waiting>dropped", "waiting>failed", "waiting>sent"]),
    ]
