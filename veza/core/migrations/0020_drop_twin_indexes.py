import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models

from veza.core.migration_operations import drop_index, without_time_limit


class Migration(migrations.Migration):
    # Rows are written while this runs. Each of these indexes had a twin that serves its queries, or no query at all.
    atomic = False
    dependencies = [("core", "0009_create_email_opt_outs"), migrations.swappable_dependency(settings.AUTH_USER_MODEL)]

    operations = [
        migrations.SeparateDatabaseAndState(
            state_operations=[
                migrations.AlterField(
                    "idempotentrequest",
                    "user",
                    models.ForeignKey(
                        db_index=False, on_delete=django.db.models.deletion.PROTECT, to=settings.AUTH_USER_MODEL
                    ),
                )
            ]
        ),
        without_time_limit(),
        drop_index("core_idempotentrequest_user_id_d25bfa00", "core_idempotentrequest (user_id)"),
        drop_index("core_heartbeat_name_217715ae_like", "core_heartbeat (name varchar_pattern_ops)"),
        drop_index("core_platformsetting_name_2d9babc8_like", "core_platformsetting (name varchar_pattern_ops)"),
        drop_index("core_providerrate_provider_7b93b566_like", "core_providerrate (provider varchar_pattern_ops)"),
    ]
