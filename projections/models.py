"""All read models of this program."""

from projections import changelog, config, current_settings, test_list
from projections.projection import Projection

ALL: tuple[Projection, ...] = (
    changelog.PROJECTION,
    config.PROJECTION,
    current_settings.PROJECTION,
    test_list.PROJECTION,
)
