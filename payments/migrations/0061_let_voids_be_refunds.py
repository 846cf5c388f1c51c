from django.db import migrations, models

SOURCES = [
    ("buyer", "Buyer"),
    ("seller", "Seller"),
    ("support", "Support"),
    ("late_payment", "Late Payment"),
    ("external", "External"),
    ("void", "voided at the provider"),
]


class Migration(migrations.Migration):
    dependencies = [("payments", "0060_add_read_clocks")]

    operations = [
        migrations.AlterField("refund", "source", models.CharField(choices=SOURCES, max_length=15)),
        migrations.RemoveConstraint("refund", "one_refund_in_flight_per_payment"),
        migrations.AddConstraint(
            "refund",
            models.UniqueConstraint(
                fields=["payment"],
                condition=models.Q(("status", "pending"), ~models.Q(("source__in", ["external", "void"]))),
                name="one_refund_in_flight_per_payment",
            ),
        ),
    ]
