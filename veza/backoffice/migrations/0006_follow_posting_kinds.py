from django.db import migrations

RENAME = """
UPDATE backoffice_flowhour SET kind = CASE kind
    WHEN 'payment' THEN 'received' WHEN 'order' THEN 'applied' WHEN 'invoice' THEN 'applied'
    WHEN 'case' THEN 'write_off' ELSE kind END;
"""


class Migration(migrations.Migration):
    dependencies = [
        ("backoffice", "0005_rename_action_and_outcome"),
        ("payments", "0012_explain_postings_by_columns"),
    ]

    operations = [migrations.RunSQL(RENAME, migrations.RunSQL.noop)]
