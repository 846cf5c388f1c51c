from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("marketplace", "0041_fill_agreed_terms")]

    operations = [
        migrations.AlterField(model_name="cartitem", name="price_minor", field=models.BigIntegerField()),
        migrations.AlterField(model_name="cartitem", name="tax_minor", field=models.BigIntegerField()),
        migrations.AlterField(model_name="cartitem", name="currency", field=models.CharField(max_length=3)),
        migrations.AddConstraint(
            model_name="cartitem",
            constraint=models.CheckConstraint(
                condition=models.Q(("price_minor__gte", 0), ("tax_minor__gte", 0)), name="cart_item_sums_not_negative"
            ),
        ),
    ]
