from django.db import migrations, models

CHOICES = [
    ("", "nothing"),
    ("account", "Account"),
    ("platform_balance", "Platform Balance"),
    ("dispute", "Dispute"),
    ("payment", "Payment"),
    ("debt", "Debt"),
    ("release", "Release"),
]


class Migration(migrations.Migration):
    dependencies = [("connect", "0050_let_money_mature")]

    operations = [
        migrations.RemoveConstraint("sellertransfer", "transfer_waiting_for_known"),
        migrations.AlterField(
            "sellertransfer",
            "waiting_for",
            models.CharField(blank=True, choices=CHOICES, default="", max_length=20),
        ),
        migrations.AddConstraint(
            "sellertransfer",
            models.CheckConstraint(
                condition=models.Q(("waiting_for__in", [value for value, _ in CHOICES])),
                name="transfer_waiting_for_known",
            ),
        ),
    ]
