from django.db import migrations


class Migration(migrations.Migration):
    """Until now a dispute was posted in its own currency."""

    dependencies = [("payments", "0031_add_converted_amounts")]

    operations = [
        migrations.RunSQL(
            "UPDATE payments_dispute SET allocation_currency = currency WHERE funds_location <> ''",
            migrations.RunSQL.noop,
        ),
    ]
