from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [("payments", "0013_require_what_explains_a_posting")]

    operations = [
        migrations.RenameField("payment", "awaited", "has_waiting_deliveries"),
        migrations.RenameField("payment", "close_after", "close_due_at"),
        migrations.RenameField("payment", "closing_at", "closing_started_at"),
        migrations.RenameField("dispute", "held_at", "funds_location"),
        migrations.RenameField("dispute", "answer_by", "evidence_due_at"),
        migrations.RenameField("dispute", "bookings", "posting_batches"),
        migrations.RenameField("refund", "bookings", "posting_batches"),
    ]
