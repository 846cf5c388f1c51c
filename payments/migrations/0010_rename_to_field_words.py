from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [("payments", "0009_count_forgeries")]

    operations = [
        migrations.RenameModel("ForgedMinute", "InvalidSignatureCount"),
        migrations.RenameField("payment", "story_id", "correlation_id"),
        migrations.RenameField("refund", "story_id", "correlation_id"),
        migrations.RenameField("dispute", "story_id", "correlation_id"),
        migrations.RenameField("webhookdelivery", "story_id", "correlation_id"),
        migrations.RenameField("posting", "story_id", "correlation_id"),
        migrations.RenameField("payment", "next_check_at", "next_attempt_at"),
        migrations.RenameField("refund", "next_check_at", "next_attempt_at"),
        migrations.RenameField("dispute", "next_check_at", "next_attempt_at"),
        migrations.RenameField("payment", "checks", "attempts"),
        migrations.RenameField("refund", "checks", "attempts"),
        migrations.RenameField("refund", "legs", "allocation"),
        migrations.RenameField("dispute", "legs", "allocation"),
        migrations.RenameField("posting", "cause", "reference"),
    ]
