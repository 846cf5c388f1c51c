from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("payments", "0014_name_waiting_and_locations")]

    # PostgreSQL has renamed the column inside the index already; only what Django knows of it follows.
    operations = [
        migrations.SeparateDatabaseAndState(
            state_operations=[
                migrations.RemoveIndex(model_name="payment", name="payment_to_close"),
                migrations.AddIndex(
                    model_name="payment",
                    index=models.Index(
                        condition=models.Q(("close_due_at__isnull", False)),
                        fields=["close_due_at"],
                        name="payment_to_close",
                    ),
                ),
            ]
        )
    ]
