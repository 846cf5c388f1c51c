from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("payments", "0032_fill_allocation_currencies")]

    operations = [
        migrations.AddConstraint(
            model_name="refund",
            constraint=models.CheckConstraint(
                condition=models.Q(("converted_minor__isnull", True), ("converted_minor__gt", 0), _connector="OR"),
                name="refund_conversion_positive",
            ),
        ),
        migrations.AddConstraint(
            model_name="dispute",
            constraint=models.CheckConstraint(
                condition=models.Q(("converted_minor__isnull", True), ("converted_minor__gt", 0), _connector="OR"),
                name="dispute_conversion_positive",
            ),
        ),
    ]
