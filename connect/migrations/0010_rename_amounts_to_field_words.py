from django.conf import settings
from django.db import migrations, models
from django.db.models import F, Q


class Migration(migrations.Migration):
    dependencies = [
        ("connect", "0009_follow_renamed_columns"),
        ("core", "0001_create_tables"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.RenameField("connectedaccount", "described_at", "snapshot_at"),
        migrations.RenameField("sellertransfer", "set_off_minor", "withheld_minor"),
        migrations.RenameField("sellertransfer", "covered_minor", "offset_minor"),
        migrations.RenameField("sellertransfer", "undone_minor", "unwound_minor"),
        migrations.RenameField("sellertransfer", "sendings", "send_attempts"),
        migrations.RenameField("setoff", "undone_minor", "unwound_minor"),
        migrations.RenameIndex("connectedaccount", old_name="account_look_due", new_name="account_refresh_due"),
        migrations.RenameIndex("sellertransfer", old_name="transfer_look_due", new_name="transfer_refresh_due"),
        migrations.RenameIndex("transferreversal", old_name="reversal_story", new_name="reversal_correlation_id"),
        # PostgreSQL has renamed the columns inside these already; only what Django knows of them follows.
        migrations.SeparateDatabaseAndState(
            state_operations=[
                migrations.AlterField(
                    model_name="setoff",
                    name="debt",
                    field=models.ForeignKey(
                        on_delete=models.PROTECT, related_name="offsets", to="connect.sellertransfer"
                    ),
                ),
                migrations.RemoveConstraint("sellertransfer", "transfer_reversed_within_target_within_sent"),
                migrations.RemoveConstraint("sellertransfer", "transfer_given_back_once"),
                migrations.RemoveConstraint("sellertransfer", "transfer_written_off_within_covered"),
                migrations.RemoveConstraint("setoff", "set_off_undone_within_it"),
                migrations.AddConstraint(
                    "sellertransfer",
                    models.CheckConstraint(
                        condition=Q(
                            withheld_minor__gte=0,
                            reversed_minor__gte=0,
                            reversed_minor__lte=F("reversal_target_minor"),
                            reversal_target_minor__lte=F("amount_minor") - F("withheld_minor"),
                        ),
                        name="transfer_reversed_within_target_within_sent",
                    ),
                ),
                migrations.AddConstraint(
                    "sellertransfer",
                    models.CheckConstraint(
                        condition=Q(
                            external_reversed_minor__gte=0,
                            external_reversed_minor__lte=F("reversal_target_minor"),
                            unwound_minor__gte=0,
                            unwound_minor__lte=F("withheld_minor"),
                            offset_minor__gte=0,
                            offset_minor__lte=F("amount_minor")
                            - F("withheld_minor")
                            - F("reversal_target_minor")
                            + F("external_reversed_minor"),
                        ),
                        name="transfer_given_back_once",
                    ),
                ),
                migrations.AddConstraint(
                    "sellertransfer",
                    models.CheckConstraint(
                        condition=Q(written_off_minor__gte=0, written_off_minor__lte=F("offset_minor")),
                        name="transfer_written_off_within_covered",
                    ),
                ),
                migrations.AddConstraint(
                    "setoff",
                    models.CheckConstraint(
                        condition=Q(unwound_minor__gte=0, unwound_minor__lte=F("amount_minor")),
                        name="set_off_undone_within_it",
                    ),
                ),
            ]
        ),
        migrations.RunSQL(
            "UPDATE core_operatorcase SET kind = 'external_reversal' WHERE kind = 'reversal_made_elsewhere'",
            "UPDATE core_operatorcase SET kind = 'reversal_made_elsewhere' WHERE kind = 'external_reversal'",
        ),
    ]
