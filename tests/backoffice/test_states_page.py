"""docs/states.md says what the code does."""

from veza.backoffice.management.commands.draw_states import PAGE, drawn


def test_the_page_of_states_is_drawn_from_the_tables():
    assert PAGE.read_text() == drawn(), "run: python manage.py draw_states"
