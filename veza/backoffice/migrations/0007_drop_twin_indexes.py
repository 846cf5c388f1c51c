from django.db import migrations

from veza.core.migration_operations import drop_index, without_time_limit


class Migration(migrations.Migration):
    # Rows are written while this runs. Each of these indexes had a twin that serves its queries, or no query at all.
    atomic = False
    dependencies = [("backoffice", "0006_follow_posting_kinds")]

    operations = [
        without_time_limit(),
        drop_index("backoffice_flowmark_name_50e91e6a_like", "backoffice_flowmark (name varchar_pattern_ops)"),
    ]
