from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("subscriptions", "0006_rename_audit_columns")]

    operations = [
        migrations.AddIndex(
            model_name="subscription",
            index=models.Index(
                condition=models.Q(("hyperswitch_payment_method_id", ""), _negated=True),
                fields=["hyperswitch_payment_method_id"],
                name="subscription_saved_method",
            ),
        ),
    ]
