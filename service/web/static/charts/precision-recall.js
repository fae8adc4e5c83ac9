// <cw-precision-recall data-src="/api/v1/jobs/…/evaluation">: precision against recall, and chance level beside it.

import { OperatingCurve } from "./operating-curve.js";
import { percent } from "./scales.js";

class PrecisionRecall extends OperatingCurve {
  heading = "Precision and recall";
  titles = { x: "Recall", y: "Precision" };

  missing() {
    return this.store.curves.precision_recall === null ? `Undefined: no row of class ${this.store.positive} in this part.` : null;
  }

  about() {
    return `Average precision ${this.worded("average_precision")}`;
  }

  points() {
    const { thresholds, precision, recall } = this.store.curves.precision_recall;
    return thresholds.map((threshold, index) => [recall[index], precision[index], threshold]);
  }

  /** What calling rows positive at random gives: as many right as there are. */
  baseline() {
    const { positives, negatives } = this.store.rows;
    const prevalence = positives / (positives + negatives);
    return { ends: [[0, prevalence], [1, prevalence]], name: `prevalence ${percent(prevalence)}` };
  }

  at({ tp, fp, fn }) {
    return tp + fp > 0 && tp + fn > 0 ? [tp / (tp + fn), tp / (tp + fp)] : null;
  }
}

customElements.define("cw-precision-recall", PrecisionRecall);
