import pytest
from sqlalchemy import Engine

from projections import laid_out
from projections.errors import ProjectionsError
from web.late_servers import late_servers


def test_pages_show_no_red_mark_rather_than_nothing_while_read_models_wait_to_be_rebuilt(
    sqlite_database: Engine,
) -> None:
    with sqlite_database.connect() as connection:
        with pytest.raises(ProjectionsError):
            laid_out.not_laid_out(connection)
        assert late_servers(connection) == {}
