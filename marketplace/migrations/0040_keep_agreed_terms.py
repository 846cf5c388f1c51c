from django.db import migrations, models


class Migration(migrations.Migration):
    """Cart items keep the terms that the buyer was shown, and order items know that they came from a cart."""

    dependencies = [("marketplace", "0030_guard_restrictions")]

    operations = [
        migrations.AddField(model_name="cartitem", name="price_minor", field=models.BigIntegerField(null=True)),
        migrations.AddField(model_name="cartitem", name="tax_minor", field=models.BigIntegerField(null=True)),
        migrations.AddField(model_name="cartitem", name="currency", field=models.CharField(max_length=3, null=True)),
        migrations.AddField(model_name="cartitem", name="rights", field=models.JSONField(default=dict)),
        migrations.AddField(
            model_name="orderitem", name="from_cart", field=models.BooleanField(db_default=False, default=False)
        ),
    ]
