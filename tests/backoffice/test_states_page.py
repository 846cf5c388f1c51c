"""docs/states.md says what the code does."""

from veza.backoffice.management.commands.draw_states import PAGE, render_page


def test_the_page_of_states_is_up_to_date():
    assert PAGE.read_text() == render_page(), "run: python manage.py draw_states"
