# SPDX-License-Identifier: Apache-2.0
"""``python tools/simhost agent|enter``; README.md says what for."""

from __future__ import annotations

import json
from pathlib import Path
import sys

TOOLS = str(Path(__file__).resolve().parents[1])
if TOOLS not in sys.path:
    sys.path.insert(0, TOOLS)


def main(words: list[str]) -> int:
    """The command line."""
    if len(words) >= 3 and words[0] == 'agent':
        from allinone import lifetime
        from simhost import agent
        lifetime.die_with_parent(int(words[2]))
        state = Path(words[1])
        agent.run(state, json.loads((state / 'settings.json').read_text()))
        return 0
    if len(words) >= 3 and words[0] == 'enter':
        from simhost import namespace
        namespace.enter(Path(words[1]), words[2:])
    print('usage: simhost enter STATE COMMAND...', file=sys.stderr)
    return 2


if __name__ == '__main__':
    sys.exit(main(sys.argv[1:]))
