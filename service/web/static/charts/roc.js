// <cw-roc data-src="/api/v1/jobs/…/evaluation">: hits against false alarms, and chance level beside it.

import { reasonInWords } from "./operating.js";
import { OperatingCurve } from "./operating-curve.js";

class Roc extends OperatingCurve {
  heading = "ROC";
  titles = { x: "False positive rate", y: "True positive rate" };

  missing() {
    const reason = this.store.metrics.roc_auc?.reason;
    return this.store.curves.roc === null ? `Undefined: ${reasonInWords(reason) || "a class has no rows"} in this part.` : null;
  }

  about() {
    return `AUROC ${this.worded("roc_auc")}`;
  }

  points() {
    const { thresholds, true_positive_rate: hits, false_positive_rate: alarms } = this.store.curves.roc;
    return thresholds.map((threshold, index) => [alarms[index], hits[index], threshold]);
  }

  baseline() {
    return { ends: [[0, 0], [1, 1]], name: "chance" };
  }

  at({ tp, fp, fn, tn }) {
    return tp + fn > 0 && fp + tn > 0 ? [fp / (fp + tn), tp / (tp + fn)] : null;
  }
}

customElements.define("cw-roc", Roc);
