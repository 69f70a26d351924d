"""All read models of this program."""

from projections import (
    changelog,
    config,
    current_settings,
    overrides,
    split_group_rest,
    test_list,
    user_group_estimates,
    user_groups,
)
from projections.projection import Projection

ALL: tuple[Projection, ...] = (
    changelog.PROJECTION,
    config.PROJECTION,
    current_settings.PROJECTION,
    overrides.PROJECTION,
    split_group_rest.PROJECTION,
    test_list.PROJECTION,
    user_group_estimates.PROJECTION,
    user_groups.PROJECTION,
)
