from django.db import migrations, models


class Migration(migrations.Migration):
    """An order or invoice is fulfilled once, whatever any code believes."""

    dependencies = [("payments", "0101_fill_applied_at")]

    operations = [
        migrations.AddConstraint(
            model_name="payment",
            constraint=models.UniqueConstraint(
                condition=models.Q(("applied_at__isnull", False)),
                fields=("purpose", "purpose_id"),
                name="one_payment_applied_per_purpose",
            ),
        ),
    ]
