import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models

from veza.core.migration_operations import drop_index, without_time_limit


class Migration(migrations.Migration):
    # Rows are written while this runs. Each of these indexes had a twin that serves its queries, or no query at all.
    atomic = False
    dependencies = [
        ("subscriptions", "0020_index_saved_method"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.SeparateDatabaseAndState(
            state_operations=[
                migrations.AlterField(
                    "distributionsubmission",
                    "subscription",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="subscriptions.subscription",
                    ),
                ),
                migrations.AlterField(
                    "distributionsubmission",
                    "user",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="submissions",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
                migrations.AlterField(
                    "subscription",
                    "next_plan",
                    models.ForeignKey(
                        blank=True,
                        null=True,
                        db_index=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="subscriptions.plan",
                    ),
                ),
                migrations.AlterField(
                    "subscription",
                    "user",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="subscriptions",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
                migrations.AlterField(
                    "subscription",
                    "plan",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="subscriptions",
                        to="subscriptions.plan",
                    ),
                ),
                migrations.AlterField(
                    "subscriptioninvoice",
                    "plan",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="subscriptions.plan",
                    ),
                ),
                migrations.AlterField(
                    "subscriptioninvoice",
                    "subscription",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="invoices",
                        to="subscriptions.subscription",
                    ),
                ),
                migrations.AlterField(
                    "unpaidsubscriptionaudit",
                    "plan",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="subscriptions.plan",
                    ),
                ),
                migrations.AlterField(
                    "unpaidsubscriptionaudit",
                    "subscription",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="subscriptions.subscription",
                    ),
                ),
                migrations.RemoveIndex("unpaidsubscriptionaudit", "unpaid_audit_newest_first"),
            ]
        ),
        without_time_limit(),
        drop_index(
            "subscriptions_distributionsubmission_subscription_id_c2dc5382",
            "subscriptions_distributionsubmission (subscription_id)",
        ),
        drop_index(
            "subscriptions_distributionsubmission_user_id_83bf604b", "subscriptions_distributionsubmission (user_id)"
        ),
        drop_index("user_subscriptions_plan_id_0aa42e7e", "user_subscriptions (plan_id)"),
        drop_index("user_subscriptions_next_plan_id_9272cd10", "user_subscriptions (next_plan_id)"),
        drop_index("user_subscriptions_user_id_e167da00", "user_subscriptions (user_id)"),
        drop_index("subscription_invoices_plan_id_79341f0f", "subscription_invoices (plan_id)"),
        drop_index("subscription_invoices_subscription_id_e11d4c8a", "subscription_invoices (subscription_id)"),
        drop_index(
            "subscription_invoices_hyperswitch_payment_id_a90ce6eb_like",
            "subscription_invoices (hyperswitch_payment_id varchar_pattern_ops)",
        ),
        drop_index("subscriptions_plan_name_9815df88_like", "subscriptions_plan (name varchar_pattern_ops)"),
        drop_index(
            "subscriptions_unpaidsubscriptionaudit_plan_id_ca83f1cb", "subscriptions_unpaidsubscriptionaudit (plan_id)"
        ),
        drop_index(
            "subscriptions_unpaidsubscriptionaudit_subscription_id_7f653df7",
            "subscriptions_unpaidsubscriptionaudit (subscription_id)",
        ),
        drop_index("unpaid_audit_newest_first", "subscriptions_unpaidsubscriptionaudit (detected_at DESC)"),
    ]
