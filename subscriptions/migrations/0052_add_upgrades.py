import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    """The credit that an upgrade's invoice deducts, and the refund for which a subscription does not renew."""

    dependencies = [("payments", "0180_book_every_kind_of_statement_line"), ("subscriptions", "0050_stop_charges")]

    operations = [
        migrations.AddField(
            model_name="subscription",
            name="ending_refund",
            field=models.ForeignKey(
                blank=True,
                db_index=False,
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="+",
                to="payments.refund",
            ),
        ),
        migrations.AddField(
            model_name="subscriptioninvoice",
            name="is_upgrade",
            field=models.BooleanField(db_default=False, default=False),
        ),
        migrations.AddField(
            model_name="subscriptioninvoice",
            name="credit_net_minor",
            field=models.BigIntegerField(db_default=0, default=0),
        ),
        migrations.AddField(
            model_name="subscriptioninvoice",
            name="credit_tax_minor",
            field=models.BigIntegerField(db_default=0, default=0),
        ),
        migrations.AddField(
            model_name="subscriptioninvoice",
            name="credited_invoice",
            field=models.ForeignKey(
                blank=True,
                db_index=False,
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="+",
                to="subscriptions.subscriptioninvoice",
            ),
        ),
        migrations.AddConstraint(
            model_name="subscriptioninvoice",
            constraint=models.CheckConstraint(
                condition=models.Q(("credit_net_minor", 0), ("credit_tax_minor", 0))
                | models.Q(
                    ("credit_net_minor__gte", 0),
                    ("credit_tax_minor__gte", 0),
                    ("credited_invoice__isnull", False),
                    ("is_upgrade", True),
                ),
                name="invoice_credit_is_of_an_upgrade",
            ),
        ),
    ]
