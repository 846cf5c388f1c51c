from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [("backoffice", "0002_index_what_staff_look_for")]

    operations = [
        migrations.AlterModelTable("staffact", "backoffice_staffact"),
        migrations.RenameModel("StaffAct", "StaffAction"),
        migrations.RenameField("staffaction", "story_id", "correlation_id"),
        migrations.RenameField("flowhour", "cause", "kind"),
    ]
