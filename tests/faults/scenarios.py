# SPDX-License-Identifier: Apache-2.0
"""The operations: what each needs, does, tells, and how it is repeated.

To add one, see doc/source/contributor/faults.rst.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
import dataclasses
from typing import Any

from cinder_nec.model import Protocol
from tests.backend.arrays import POOL
from tests.faults import answers, steps
from tests.faults.answers import (
    Answer,
    attached_as,
    detached_from,
    gone,
    made,
    no_updates,
    nothing_told,
    snapshot_attached,
    there_is,
    told_as,
)
from tests.faults.rig import DEMO_POOL, FULL_ACCESS, NEW, OLD
from tests.faults.steps import Step, both, clone, delete, from_snapshot

LIMITS = (steps.UPPER, steps.LOWER)


@dataclasses.dataclass(frozen=True)
class Only:
    """Which driver classes an operation is for.

    :param why: why there is nothing to try on the others
    """

    of: Callable[[type], bool]
    why: str


EVERYWHERE = Only(lambda _cls: True, '')
REPLICATION = Only(lambda cls: cls.METHOD.name == 'REPLICATION',
                   'the snapshot method makes no RVs of snapshots')
GENERATIONS = Only(lambda cls: cls.METHOD.name != 'REPLICATION',
                   'data replication shows a snapshot without an LV')
FC = Only(lambda cls: cls.PROTOCOL is Protocol.FC,
          'iSCSI knows no WWPNs and no zones')
ISCSI = Only(lambda cls: cls.PROTOCOL is Protocol.ISCSI,
             'FC knows no target modes and no full access')


@dataclasses.dataclass(frozen=True)
class Scenario:
    """An operation and what it is done on.

    :param covers: methods of the driver that it calls
    :param answer: what has to be true of what Cinder is told
    :param row: of the README's table "Operations by class", or ''
    :param holds: what is in the LDs of which records afterwards
    :param again: what a user does before a second try
    :param second: the second try, where it is not the same
    :param partial: a failure may leave it half done: what is gone was to
        go, and the second try goes on from there
    :param overwrites: what the volume holds while it fails is not sure
    :param quiet: it does not raise; the result says what it came to
    :param only: which driver classes it is for
    :param options: of ``cinder.conf``, by the names in ``BackendConfig``
    :param cold: the service was started just before
    :param starts: it is the start of the service after a crash; what it
        does not get done, the next start does
    """

    name: str
    covers: tuple[str, ...]
    prepare: Step
    run: Step
    answer: Answer
    row: str = ''
    holds: Mapping[str, bytes] = dataclasses.field(default_factory=dict)
    again: Step = steps.nothing
    second: Step | None = None
    partial: bool = False
    overwrites: bool = False
    quiet: bool = False
    only: Only = EVERYWHERE
    options: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    cold: bool = False
    starts: bool = False


CREATE, EXTEND = 'create, delete', 'extend'
ATTACH, MULTIATTACH = 'attach, detach, multipath', 'multi-attach'
ZONES, FULL = 'zones by Cinder', 'full access mode'
SNAPSHOT, FROM = 'snapshot', 'volume from snapshot'
REVERT, CLONE, IMAGE = 'revert to snapshot', 'clone', 'image, image cache'
BACKUP, QOS_ROW = 'backup of a volume in use', 'QoS, retype in place'
MOVE, MANAGE = 'migration inside an array', 'manage, unmanage'
MOVE_AWAY, STATS = 'migration to another array', 'stats per pool'

AS_BEFORE = {'volume': OLD}
COPIED, COPIED_LARGER = {'same_size': OLD}, {'new': OLD}
FROZEN = {'snapshot': OLD}
CREATE_VOLUME, DELETE_VOLUME = ('create_volume',), ('delete_volume',)
CLONE_VOLUME = ('create_cloned_volume',)
FROM_SNAPSHOT = ('create_volume_from_snapshot',)
ATTACH_VOLUME = ('initialize_connection',)
DETACH_VOLUME = ('terminate_connection',)

VOLUMES = (
    Scenario('create', CREATE_VOLUME, steps.nothing,
             lambda r: r.driver.create_volume(r.volume),
             made('volume', limits=(0, 0), pool=POOL), CREATE,
             again=delete('volume')),
    Scenario('create with limits', CREATE_VOLUME, steps.nothing,
             steps.create_limited, made('volume', limits=LIMITS), QOS_ROW,
             again=delete('volume')),
    Scenario('delete', DELETE_VOLUME, steps.volume, delete('volume'),
             gone('volume'), CREATE, partial=True),
    Scenario('delete mapped', DELETE_VOLUME, steps.attached,
             delete('volume'), gone('volume'), CREATE, partial=True),
    Scenario('delete after a migration', DELETE_VOLUME, steps.half_migrated,
             delete('volume'), gone('volume'), MOVE, partial=True),
    Scenario('delete a clone that settles', DELETE_VOLUME,
             steps.clone_that_settles, delete('same_size'),
             gone('same_size'), CLONE, partial=True, holds=AS_BEFORE),
    Scenario('extend', ('extend_volume',), steps.volume, steps.extend,
             made('volume', size_gib=4), EXTEND, holds=AS_BEFORE),
    Scenario('extend attached', ('extend_volume',), steps.attached,
             steps.extend, made('volume', size_gib=4), EXTEND,
             holds=AS_BEFORE),
    Scenario('extend MV and RV', ('extend_volume',), steps.snapshot,
             steps.extend, made('volume', size_gib=4), EXTEND, partial=True,
             holds={'volume': NEW, **FROZEN}, only=REPLICATION),
)

ACCESS = (
    Scenario('attach', ATTACH_VOLUME, steps.volume, steps.attach,
             attached_as('volume', multipath=True), ATTACH),
    Scenario('attach a second', ATTACH_VOLUME, steps.attached,
             lambda r: r.driver.initialize_connection(r.volume, r.host(3)),
             attached_as('volume', 3), MULTIATTACH),
    Scenario('attach to a known host', ATTACH_VOLUME, steps.volume,
             lambda r: r.driver.initialize_connection(r.volume, r.host(2)),
             attached_as('volume', 2), ATTACH),
    Scenario('attach with a new HBA', ATTACH_VOLUME, steps.half_admitted,
             steps.attach, attached_as('volume'), ATTACH, only=FC),
    Scenario('attach in normal mode', ATTACH_VOLUME,
             both(steps.normal_mode, steps.volume), steps.attach,
             attached_as('volume', multipath=True), ATTACH, only=ISCSI),
    Scenario('attach with full access', ATTACH_VOLUME, steps.volume,
             steps.attach, attached_as('volume', multipath=True), FULL,
             only=ISCSI, options={'ld_set': FULL_ACCESS}),
    Scenario('detach', DETACH_VOLUME, steps.attached, steps.detach,
             detached_from(1), ATTACH, partial=True),
    Scenario('detach one of two', DETACH_VOLUME, steps.attached_twice,
             steps.detach, detached_from(1), MULTIATTACH, partial=True),
    Scenario('forced detach', DETACH_VOLUME, steps.attached_twice,
             lambda r: r.driver.terminate_connection(r.volume, None),
             detached_from(1, 3), ATTACH, partial=True),
    Scenario('detach with zones', DETACH_VOLUME, steps.attached,
             steps.detach, detached_from(1), ZONES, partial=True, only=FC,
             options={'zones': True}),
)

SNAPSHOTS = (
    Scenario('snapshot', ('create_snapshot',), steps.volume,
             lambda r: r.driver.create_snapshot(r.snapshot),
             made('snapshot'), SNAPSHOT, holds={**AS_BEFORE, **FROZEN},
             again=steps.delete_snapshot),
    Scenario('second snapshot', ('create_snapshot',), steps.snapshot,
             lambda r: r.driver.create_snapshot(r.later), made('later'),
             SNAPSHOT, holds={'volume': NEW, 'later': NEW, **FROZEN},
             again=lambda r: r.driver.delete_snapshot(r.later)),
    Scenario('snapshot on a kept RV', ('create_snapshot',),
             steps.kept_rvs(1),
             lambda r: r.driver.create_snapshot(r.snapshot),
             made('snapshot'), SNAPSHOT, holds={**AS_BEFORE, **FROZEN},
             again=steps.delete_snapshot, only=REPLICATION),
    Scenario('delete snapshot', ('delete_snapshot',), steps.snapshot,
             steps.delete_snapshot, gone('snapshot'), SNAPSHOT,
             holds={'volume': NEW}, partial=True),
    Scenario('delete snapshot by force', ('delete_snapshot',),
             steps.snapshot, steps.force_delete, gone('snapshot'), SNAPSHOT,
             holds={'volume': NEW}, partial=True, only=REPLICATION),
    Scenario('delete unpaired RV', ('delete_snapshot',), steps.unpaired_rv,
             steps.delete_snapshot, gone('snapshot'), SNAPSHOT,
             holds={'volume': NEW}, partial=True, only=REPLICATION),
    Scenario('delete attached snapshot', ('delete_snapshot',),
             steps.snapshot_of_long_ago, steps.delete_snapshot,
             gone('snapshot'), BACKUP, holds={'volume': NEW}, partial=True),
    Scenario('delete MV with kept RVs', DELETE_VOLUME, steps.kept_rvs(2),
             delete('volume'), gone('volume'), SNAPSHOT, partial=True,
             only=REPLICATION),
    Scenario('volume from snapshot', FROM_SNAPSHOT, steps.snapshot,
             from_snapshot('same_size'), made('same_size'), FROM,
             holds=COPIED, again=delete('same_size')),
    Scenario('larger volume from snapshot', FROM_SNAPSHOT, steps.snapshot,
             from_snapshot('new'), made('new'), FROM, holds=COPIED_LARGER,
             again=delete('new')),
    Scenario('clone', CLONE_VOLUME, steps.volume, clone('same_size'),
             made('same_size'), CLONE, holds={**AS_BEFORE, **COPIED},
             again=delete('same_size')),
    Scenario('larger clone, as of a cached image', CLONE_VOLUME,
             steps.volume, clone('new'), made('new'), IMAGE,
             holds={**AS_BEFORE, **COPIED_LARGER}, again=delete('new')),
    Scenario('clone of an MV', CLONE_VOLUME, steps.snapshot,
             clone('same_size'), made('same_size'), CLONE,
             holds={'volume': NEW, 'same_size': NEW, **FROZEN},
             again=delete('same_size')),
    Scenario('clone, an RV gives way', CLONE_VOLUME, steps.kept_rvs(3),
             clone('same_size'), made('same_size'), CLONE, partial=True,
             holds={**AS_BEFORE, **COPIED}, again=delete('same_size'),
             only=REPLICATION),
    # -- with nec_clone_wait_for_copy
    Scenario('clone, waited for', CLONE_VOLUME, steps.volume,
             clone('same_size'), made('same_size'), CLONE,
             holds={**AS_BEFORE, **COPIED}, again=delete('same_size'),
             options={'clone_waits': True}),
    Scenario('larger clone, waited for', CLONE_VOLUME, steps.volume,
             clone('new'), made('new'), IMAGE,
             holds={**AS_BEFORE, **COPIED_LARGER}, again=delete('new'),
             options={'clone_waits': True}),
    Scenario('volume from snapshot, waited for', FROM_SNAPSHOT,
             steps.snapshot, from_snapshot('same_size'), made('same_size'),
             FROM, holds={**COPIED, **FROZEN}, again=delete('same_size'),
             options={'clone_waits': True}),
    Scenario('revert', ('revert_to_snapshot',), steps.snapshot,
             steps.revert, made('volume'), REVERT,
             holds={**AS_BEFORE, **FROZEN}, partial=True, overwrites=True),
    # -- backup
    Scenario('attach snapshot', ('initialize_connection_snapshot',),
             steps.snapshot, steps.attach_snapshot,
             snapshot_attached('snapshot'), BACKUP, holds=FROZEN),
    Scenario('attach snapshot in normal mode',
             ('initialize_connection_snapshot',),
             both(steps.normal_mode, steps.snapshot), steps.attach_snapshot,
             snapshot_attached('snapshot'), BACKUP, holds=FROZEN,
             only=ISCSI),
    Scenario('detach snapshot', ('terminate_connection_snapshot',
                                 'remove_export_snapshot'),
             steps.attached_snapshot, steps.detach_snapshot,
             detached_from(1, name='snapshot'), BACKUP, holds=FROZEN,
             partial=True),
    Scenario('detach snapshot in normal mode',
             ('terminate_connection_snapshot', 'remove_export_snapshot'),
             both(steps.normal_mode, steps.attached_snapshot),
             steps.detach_snapshot, detached_from(1, name='snapshot'),
             BACKUP, holds=FROZEN, partial=True, only=ISCSI),
    Scenario('remove export of a broken off backup',
             ('remove_export_snapshot',), steps.detached_snapshot,
             lambda r: r.driver.remove_export_snapshot(None, r.snapshot),
             made('snapshot'), BACKUP, holds=FROZEN, partial=True,
             only=GENERATIONS),
)

PLACES = (
    Scenario('retype in place', ('retype',), steps.volume, steps.retype,
             answers.all_of(told_as(True), there_is(
                 'volume', limits=LIMITS, pool=POOL)), QOS_ROW,
             holds=AS_BEFORE, partial=True),
    Scenario('retype to another pool', ('retype',), steps.volume,
             steps.retype_away, answers.all_of(told_as(True), there_is(
                 'volume', limits=LIMITS, pool=DEMO_POOL)), MOVE,
             holds=AS_BEFORE),
    Scenario('migrate', ('migrate_volume',), steps.volume, steps.migrate,
             answers.all_of(told_as((True, None)), there_is(
                 'volume', pool=DEMO_POOL)), MOVE, holds=AS_BEFORE),
    Scenario('migrate again after a crash', ('migrate_volume',),
             steps.half_migrated, steps.migrate,
             answers.all_of(told_as((True, None)), there_is(
                 'volume', pool=DEMO_POOL)), MOVE, holds=AS_BEFORE,
             partial=True),
    Scenario('take a migrated volume\'s name', ('update_migrated_volume',),
             steps.volume, steps.take_over, answers.held_by('volume'),
             MOVE_AWAY, quiet=True),
    Scenario('take a migrated volume\'s name, which is taken',
             ('update_migrated_volume',),
             both(steps.volume, lambda r: r.driver.create_volume(r.new)),
             steps.take_over, answers.held_by('volume'), MOVE_AWAY,
             holds=AS_BEFORE, quiet=True, cold=True),
    # -- taking over
    Scenario('manage', ('manage_existing_get_size', 'manage_existing'),
             steps.theirs, steps.manage, made('volume'), MANAGE,
             second=steps.manage_again),
    Scenario('manage with limits', ('manage_existing',), steps.theirs,
             steps.manage_limited, made('volume', limits=LIMITS), MANAGE,
             second=steps.manage_again),
    Scenario('manage snapshot', ('manage_existing_snapshot_get_size',
                                 'manage_existing_snapshot'),
             steps.managed, steps.manage_snapshot, made('snapshot'), MANAGE,
             second=steps.manage_snapshot_again),
    Scenario('list what can be managed', (
        'get_manageable_volumes', 'get_manageable_snapshots'), steps.theirs,
        steps.lists, answers.listed, MANAGE),
)

SERVICE = (
    Scenario('stats', ('get_volume_stats',), steps.volume_of_long_ago,
             steps.stats, answers.pools_told, STATS, quiet=True,
             options={'report_pools': True}),
    Scenario('pool of a volume', ('get_pool',), steps.volume, steps.pool_of,
             answers.pool_told, STATS, options={'report_pools': True},
             cold=True),
    Scenario('check at start', ('check_for_setup_error',), steps.volume,
             lambda r: r.driver.check_for_setup_error(), nothing_told,
             cold=True),
    Scenario('go on with copies at start', ('update_provider_info',),
             steps.clone_that_settles,
             lambda r: r.driver.update_provider_info(
                 [r.volume, r.same_size], []), no_updates, CLONE,
             holds={**AS_BEFORE, **COPIED}, quiet=True, cold=True),
)



def start_after(what: str, prepare: Step, row: str = '',
                only: Only = EVERYWHERE,
                **holds: bytes) -> Scenario:
    """Return the start of a service whose last run was killed."""
    return Scenario(
        f'start after {what}',
        ('check_for_setup_error', 'update_provider_info'), prepare,
        lambda r: r.take_stock(), no_updates, row, holds, only=only,
        cold=True, starts=True)


STARTS = (
    start_after('a bind', steps.killed_binding, CREATE),
    start_after('a migration that copied', steps.killed_copying, MOVE,
                volume=OLD),
    start_after('a migration that renamed', steps.killed_renaming, MOVE,
                volume=OLD),
    start_after('an attach', steps.killed_attaching, ATTACH, volume=OLD),
    start_after('showing a snapshot', steps.killed_showing, BACKUP,
                GENERATIONS, snapshot=OLD),
    start_after('a control volume\'s bind', steps.killed_controlling,
                BACKUP, GENERATIONS, snapshot=OLD),
    start_after('taking a name', steps.killed_taking, MOVE_AWAY,
                volume=OLD),
)

SCENARIOS = (*VOLUMES, *ACCESS, *SNAPSHOTS, *PLACES, *SERVICE, *STARTS)

# Methods that Cinder does not call, and who does.
NOT_OF_CINDER = {
    'audit': 'cinder-nec, which tells its errors as they are; it reads only',
}
_GROUPS = 'no groups: Cinder makes and snapshots the volumes one by one'
_NO_REPLICATION = 'no replication to another array: not offered'
_BY_ATTACH = ('moves bytes through the host, by initialize_connection and '
              'terminate_connection; tests/data does it')
_HOST_FILES = 'of drivers whose volumes are files on the host'
# Public methods that are Cinder's own, and why they are not tried.
INHERITED_FROM_CINDER = {
    'accept_transfer': 'does nothing: an LD knows no project',
    'after_volume_copy': 'does nothing: a hook around a migration',
    'before_volume_copy': 'does nothing: a hook around a migration',
    'clean_snapshot_file_locks': _HOST_FILES,
    'clean_volume_file_locks': _HOST_FILES,
    'clear_download': 'does nothing: a hook after a failed download',
    'clone_image': 'answers that it does not; then copy_image_to_volume, or '
                   'a clone of a cached image, which is in the matrix',
    'copy_image_to_encrypted_volume': _BY_ATTACH,
    'copy_image_to_volume': _BY_ATTACH,
    'copy_volume_to_image': _BY_ATTACH,
    'create_cgsnapshot': _GROUPS,
    'create_consistencygroup': _GROUPS,
    'create_consistencygroup_from_src': _GROUPS,
    'create_group': _GROUPS,
    'create_group_from_src': _GROUPS,
    'create_group_snapshot': _GROUPS,
    'create_volume_from_backup': 'not offered: Cinder restores a backup '
                                 'through an attach',
    'delete_cgsnapshot': _GROUPS,
    'delete_consistencygroup': _GROUPS,
    'delete_group': _GROUPS,
    'delete_group_snapshot': _GROUPS,
    'disable_replication': _NO_REPLICATION,
    'enable_replication': _NO_REPLICATION,
    'failover': _NO_REPLICATION,
    'failover_completed': _NO_REPLICATION,
    'failover_host': _NO_REPLICATION,
    'failover_replication': _NO_REPLICATION,
    'freeze_backend': _NO_REPLICATION,
    'get_backup_device': 'asks backup_use_temp_snapshot, and reads and '
                         'writes the database',
    'get_filter_function': 'returns an option, or the default',
    'get_goodness_function': 'returns an option, or the default',
    'get_replication_error_status': _NO_REPLICATION,
    'get_version': 'returns a constant',
    'init_capabilities': 'asks get_volume_stats, which is in the matrix',
    'local_path': _HOST_FILES,
    'secure_file_operations_enabled': _HOST_FILES,
    'set_initialized': 'sets a flag of the object',
    'set_throttle': 'reads an option of the host',
    'supports_replication_feature': _NO_REPLICATION,
    'thaw_backend': _NO_REPLICATION,
    'update_consistencygroup': _GROUPS,
    'update_group': _GROUPS,
    'validate_connector_has_setting': 'not called by Cinder',
}
# Methods that send nothing, and why.
SILENT = {
    'backup_use_temp_snapshot': 'answers a question about the driver',
    'create_export': 'initialize_connection does it',
    'create_export_snapshot': 'initialize_connection_snapshot does it',
    'do_setup': 'reads options; the rig puts the back end together alike',
    'ensure_export': 'mappings outlive a restart of the service',
    'get_default_filter_function': 'a text for the scheduler',
    'get_default_goodness_function': 'a text for the scheduler',
    'get_driver_options': 'names options',
    'remove_export': 'terminate_connection does it',
    'snapshot_revert_use_temp_snapshot':
        'answers a question about the driver',
    'unmanage': 'the LD keeps its name',
    'unmanage_snapshot': 'the LD keeps its name',
    'validate_connector': 'looks at the connector only',
}


def scenarios_of(cls: type) -> list[Scenario]:
    return [each for each in SCENARIOS if each.only.of(cls)]
