"""What others would use on the same rows: each with its defaults, as its makers ship them."""

import warnings
from collections.abc import Callable
from importlib.util import find_spec

import numpy as np

from benchmarks.quality.rows import Floats, TreeRows

Learn = Callable[[TreeRows, TreeRows, int], Floats]
"""From the rows to learn from, the rows to judge and a seed to a score for each of the latter."""


def hist_gradient_boosting(rows: TreeRows, judged: TreeRows, seed: int) -> Floats:
    from sklearn.ensemble import HistGradientBoostingClassifier  # noqa: PLC0415

    model = HistGradientBoostingClassifier(class_weight="balanced", categorical_features=rows.is_category, random_state=seed)
    return np.asarray(model.fit(rows.columns, rows.labels).predict_proba(judged.columns)[:, 1])


def balanced_random_forest(rows: TreeRows, judged: TreeRows, seed: int) -> Floats:
    from imblearn.ensemble import BalancedRandomForestClassifier  # noqa: PLC0415

    model = BalancedRandomForestClassifier(random_state=seed)
    return np.asarray(model.fit(rows.flags, rows.labels).predict_proba(judged.flags)[:, 1])


def lightgbm(rows: TreeRows, judged: TreeRows, seed: int) -> Floats:
    from lightgbm import LGBMClassifier  # noqa: PLC0415

    model = LGBMClassifier(verbose=-1, n_jobs=1, random_state=seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # It names columns itself, and then misses the names.
        model.fit(rows.columns, rows.labels, categorical_feature=np.flatnonzero(rows.is_category).tolist())
        return np.asarray(model.predict_proba(judged.columns))[:, 1]


def xgboost(rows: TreeRows, judged: TreeRows, seed: int) -> Floats:
    from xgboost import XGBClassifier  # noqa: PLC0415

    kinds = ["c" if is_category else "q" for is_category in rows.is_category]
    model = XGBClassifier(n_jobs=1, random_state=seed, enable_categorical=True, feature_types=kinds)
    return np.asarray(model.fit(rows.columns, rows.labels).predict_proba(judged.columns)[:, 1])


def catboost(rows: TreeRows, judged: TreeRows, seed: int) -> Floats:
    from catboost import CatBoostClassifier  # noqa: PLC0415

    model = CatBoostClassifier(
        verbose=0, thread_count=1, random_seed=seed, cat_features=np.flatnonzero(rows.is_category).tolist(), allow_writing_files=False
    )
    return np.asarray(model.fit(_named(rows), rows.labels).predict_proba(_named(judged))[:, 1])


def _named(rows: TreeRows) -> object:
    """Return the columns with whole numbers for categories, as CatBoost wants them."""
    if not rows.is_category.any():
        return rows.columns
    columns = rows.columns.astype(object)
    categories = np.nan_to_num(rows.columns[:, rows.is_category], nan=-1).astype(np.int64)
    columns[:, rows.is_category] = categories
    return columns


PEERS: dict[str, tuple[Learn, str]] = {
    "HistGB balanced": (hist_gradient_boosting, "sklearn"),
    "balanced RF": (balanced_random_forest, "imblearn"),
    "LightGBM": (lightgbm, "lightgbm"),
    "XGBoost": (xgboost, "xgboost"),
    "CatBoost": (catboost, "catboost"),
}
"""Each with the module it needs."""


def installed() -> dict[str, Learn]:
    """Return the peers that can be imported, and say which cannot."""
    found = {}
    for name, (learn, module) in PEERS.items():
        if find_spec(module) is None:
            print(f"{name} is not installed and left out: pip install --group bench")
        else:
            found[name] = learn
    return found
