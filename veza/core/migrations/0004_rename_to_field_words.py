from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [("core", "0003_find_latest_calls")]

    operations = [
        migrations.AlterModelTable("operatorcase", "core_operatorcase"),
        migrations.RenameModel("OperatorCase", "ReviewItem"),
        migrations.RenameField("reviewitem", "story_id", "correlation_id"),
        migrations.RenameField("statuschange", "story_id", "correlation_id"),
        migrations.RenameField("providercall", "story_id", "correlation_id"),
    ]
