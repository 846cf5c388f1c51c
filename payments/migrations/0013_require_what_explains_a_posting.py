from django.db import migrations, models

KINDS = ["received", "applied", "refund", "dispute", "transfer", "reversal", "write_off", "statement"]


class Migration(migrations.Migration):
    dependencies = [("payments", "0012_explain_postings_by_columns")]

    operations = [
        migrations.AlterField(
            "posting",
            "kind",
            models.CharField(
                choices=[
                    ("received", "Received"),
                    ("applied", "Applied"),
                    ("refund", "Refund"),
                    ("dispute", "Dispute"),
                    ("transfer", "Transfer"),
                    ("reversal", "Reversal"),
                    ("write_off", "Write Off"),
                    ("statement", "Statement"),
                ],
                max_length=10,
            ),
        ),
        migrations.AlterField("posting", "subject_id", models.UUIDField()),
        migrations.RemoveField("posting", "reference"),
        migrations.AddConstraint(
            "posting", models.CheckConstraint(condition=models.Q(("kind__in", KINDS)), name="posting_kind_known")
        ),
        migrations.AddConstraint(
            "posting",
            models.CheckConstraint(condition=models.Q(("number__gte", 0)), name="posting_number_not_negative"),
        ),
        migrations.AddConstraint(
            "posting",
            models.CheckConstraint(
                condition=models.Q(
                    models.Q(("kind", "statement"), ("payment__isnull", True)),
                    models.Q(models.Q(("kind", "statement"), _negated=True), ("payment__isnull", False)),
                    _connector="OR",
                ),
                name="posting_of_a_payment_or_a_statement",
            ),
        ),
        migrations.AddConstraint(
            "posting",
            models.UniqueConstraint(fields=("subject_id", "kind", "number", "leg"), name="a_fact_is_posted_once"),
        ),
    ]
