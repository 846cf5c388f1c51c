from django.db import migrations

KINDS = {
    "hyperswitch_turned_us_away": "hyperswitch_auth_rejected",
    "stripe_turned_us_away": "stripe_auth_rejected",
    "late_money_not_returned": "unapplied_funds",
    "refund_at_dashboard": "external_refund",
    "refund_bounced": "refund_returned",
    "delivery_of_a_stranger": "unknown_profile",
    "payment_unclear": "payment_status_unknown",
    "dispute_unclear": "dispute_status_unknown",
    "reversal_made_elsewhere": "external_reversal",
}


def rename(apps, names):
    items = apps.get_model("core", "ReviewItem").objects
    for before, after in names.items():
        items.filter(kind=before).update(kind=after)


class Migration(migrations.Migration):
    dependencies = [("core", "0005_follow_renamed_columns")]

    operations = [
        migrations.RunPython(
            lambda apps, editor: rename(apps, KINDS),
            lambda apps, editor: rename(apps, {after: before for before, after in KINDS.items()}),
        ),
    ]
