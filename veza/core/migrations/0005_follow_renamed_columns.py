from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("core", "0004_rename_to_field_words"),
    ]

    # PostgreSQL has renamed the columns inside these already; only what Django knows of them follows.
    operations = [
        migrations.SeparateDatabaseAndState(
            state_operations=[
                migrations.RemoveIndex(
                    model_name="providercall",
                    name="provider_call_story",
                ),
                migrations.RemoveIndex(
                    model_name="statuschange",
                    name="status_change_story",
                ),
                migrations.AddIndex(
                    model_name="providercall",
                    index=models.Index(fields=["correlation_id", "at"], name="provider_call_story"),
                ),
                migrations.AddIndex(
                    model_name="statuschange",
                    index=models.Index(fields=["correlation_id", "at"], name="status_change_story"),
                ),
            ]
        )
    ]
