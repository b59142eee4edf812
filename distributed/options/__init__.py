"""One frozen dataclass a verb: its flags, its TOML keys, its run.json.

Defaults and help live here only. To add a verb: a class in a file here, a name in VERBS and a
module in `verbs/` with `run(options) -> dict` (for a two-word verb such as `campaign new`: the
function `new` of `verbs/campaign.py`; for `retry-failed`: `verbs/retry_failed.py`). Imports no
array library: `--help` answers at once.
"""

from epistax.distributed.options.bench import Bench, BenchCompare
from epistax.distributed.options.campaign import (
    CampaignNew,
    CampaignPropose,
    CampaignRecord,
    CampaignStatus,
)
from epistax.distributed.options.causal import CausalBenchmark, CausalFit, CausalPredict
from epistax.distributed.options.check import Check
from epistax.distributed.options.completion import Completion
from epistax.distributed.options.demo import Demo
from epistax.distributed.options.discover import Discover
from epistax.distributed.options.effects import (
    EffectsBenchmark,
    EffectsDiscover,
    EffectsFit,
    EffectsPredict,
)
from epistax.distributed.options.export import Export
from epistax.distributed.options.rank import Rank
from epistax.distributed.options.report import Report
from epistax.distributed.options.response import (
    ResponseBenchmark,
    ResponseFit,
    ResponsePredict,
    ResponseRefine,
)
from epistax.distributed.options.score import Score
from epistax.distributed.options.shared import Options
from epistax.distributed.options.simulate import Simulate
from epistax.distributed.options.submit import Submit
from epistax.distributed.options.upkeep import Repair, RetryFailed, Status, Verify

VERBS: dict[str, type[Options]] = {
    v.verb: v
    for v in (
        Check,
        Simulate,
        Score,
        Rank,
        Discover,
        CampaignNew,
        CampaignPropose,
        CampaignRecord,
        CampaignStatus,
        EffectsFit,
        EffectsPredict,
        EffectsBenchmark,
        EffectsDiscover,
        ResponseFit,
        ResponsePredict,
        ResponseBenchmark,
        ResponseRefine,
        CausalFit,
        CausalPredict,
        CausalBenchmark,
        Export,
        Report,
        Status,
        Verify,
        Repair,
        RetryFailed,
        Submit,
        Bench,
        BenchCompare,
        Demo,
        Completion,
    )
}
