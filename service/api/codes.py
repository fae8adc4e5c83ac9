"""Every code a problem can have, each with its status, what it means and the way out: what `/docs/errors` shows."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Meaning:
    """What a code is in HTTP (for a failed job or dataset: in its `error`), its name for people, and what to do."""

    status: int
    title: str
    way_out: str


CODES: dict[str, Meaning] = {
    "malformed_json": Meaning(
        400, "The body is not JSON", "Send one JSON value in UTF-8, without a key given twice; the detail says where reading stopped."
    ),
    "malformed_request": Meaning(400, "The request cannot be read", "Mend what the detail names: a form's boundary, a header, the Host."),
    "client_disconnected": Meaning(
        400,
        "The client went away before its request had arrived",
        "Send the request again, all of it; with the same Idempotency-Key nothing is done twice.",
    ),
    "unauthenticated": Meaning(
        401, "An API key is needed", "Send `Authorization: Bearer cw_…` with a key that was not revoked and has not expired."
    ),
    "forbidden": Meaning(
        403, "The API key may not do this", "Use a key of a wider scope: read, submit or admin, each including those before it."
    ),
    "foreign_origin": Meaning(
        403, "Requests from other sites' pages are refused", "Call from a page of this server, or not from a browser."
    ),
    "not_found": Meaning(
        404,
        "There is no such thing",
        "Look at the id: it is of another project, was deleted, or never was. The list of its kind shows what there is.",
    ),
    "method_not_allowed": Meaning(405, "This address does not take this method", "Use a method of the header `Allow`."),
    "not_acceptable": Meaning(406, "It is not to be had in this form", "Accept a form that the detail names, or leave `Accept` out."),
    "wrong_state": Meaning(409, "Its present state does not allow this", "Do one of `allowed_actions`, or wait for another state."),
    "dataset_not_ready": Meaning(
        409,
        "The dataset is still being read",
        "Wait until the dataset's state is `ready` (`?wait=30` holds the answer until then), and try again.",
    ),
    "idempotency_in_flight": Meaning(
        409,
        "The first request of this key is still being answered",
        "Try again after `Retry-After` seconds: the first request's answer will be yours.",
    ),
    "idempotency_secret": Meaning(
        409,
        "An answer with a secret is given only once",
        "The secret was told in the first answer only. Revoke what was made, and make another under a new key.",
    ),
    "stale_version": Meaning(
        412, "It was changed in the meantime", "Read it again, look at what changed, and send the change with the new `ETag`."
    ),
    "too_large": Meaning(413, "Too many bytes", "Send less; the detail tells the limit, and which setting of the server it is."),
    "unsupported_media_type": Meaning(415, "This content type is not taken here", "Send one of the content types that the detail names."),
    "range_not_satisfiable": Meaning(
        416, "None of this lies in the file", "Ask for a part inside the file: `Content-Range` tells its size."
    ),
    "host_not_allowed": Meaning(
        421,
        "This server does not answer to that name",
        "Call the server by one of its names, or add this one to COUNTERWEIGHT_ALLOWED_HOSTS.",
    ),
    "invalid": Meaning(
        422, "The request cannot be carried out as written", "Mend the fields in `errors`: each has a JSON pointer and what is wrong there."
    ),
    "idempotency_mismatch": Meaning(
        422, "The idempotency key was used for something else", "Take a new Idempotency-Key for a new request."
    ),
    "bad_cursor": Meaning(
        422, "The cursor is not of this list", "Pass the `next` of the page before, unchanged, with the same filter and sort."
    ),
    "bad_filter": Meaning(
        422,
        "The filter cannot be read",
        "Mend the filter at the column that the detail names; docs/http.md has the grammar.",
    ),
    "bad_sort": Meaning(
        422,
        "The list cannot be sorted so",
        "Sort by a field that the detail lists, with `-` before it for the largest first.",
    ),
    "empty_file": Meaning(422, "The file is empty", "Upload a file with a header and rows."),
    "dataset_failed": Meaning(
        422, "The dataset could not be read", "Read the dataset's `error`, mend the file or the options, and upload it again."
    ),
    "target_missing": Meaning(
        422,
        "No column to predict is known",
        "Name the column to predict when uploading, or read the dataset again with it: POST /datasets with `source_dataset_id`.",
    ),
    "target_mismatch": Meaning(
        422,
        "The dataset was read with another target",
        "Read the dataset again with the other target: POST /datasets with `source_dataset_id`.",
    ),
    "target_continuous": Meaning(
        422, "The target is a quantity, not a class", "Choose a column of classes; numbers as targets (regression) are not trained."
    ),
    "target_excluded": Meaning(422, "The target is among the excluded columns", "Take the target out of `exclude`."),
    "single_class": Meaning(422, "There is only one class", "Choose a target with at least two classes."),
    "class_too_rare": Meaning(
        422,
        "A class has too few rows",
        "Give the class at least three rows, join it with another, or leave its rows out.",
    ),
    "first_key_not_admin": Meaning(
        422, "The first key must be an admin's", "Make the first key with scope admin: only such a key can make others."
    ),
    "class_missing_from_part": Meaning(
        422, "A part has no row of a class", "Put rows of every class in each of train, validation and test."
    ),
    "split_mismatch": Meaning(
        422, "The split does not fit the data", "Change the split as the detail says: its shares, or what the column holds."
    ),
    "test_dataset_mismatch": Meaning(
        422,
        "The test dataset does not fit the other",
        "Test on a dataset with the same columns, target and classes; the detail says what differs.",
    ),
    "unknown_column": Meaning(
        422,
        "There is no such column",
        "Name a column of the dataset; the detail lists what it has or what comes close.",
    ),
    "not_a_part_column": Meaning(
        422, "The column does not name parts", "Let the split column hold train, validation and test, and nothing else."
    ),
    "unfit_weights": Meaning(422, "The column does not hold weights", "Name a column that holds a number of 0 or more in every row."),
    "no_features": Meaning(422, "No column is left to learn from", "Exclude fewer columns: at least one must be left to learn from."),
    "positive_label_unknown": Meaning(422, "The positive label is no class", "Name one of the dataset's classes as it is written there."),
    "positive_label_not_binary": Meaning(
        422, "A positive label is for two classes", "Leave `positive_label` out where there are more than two classes."
    ),
    "several_classes": Meaning(
        422, "This is for two classes", "Use it with a job of two classes; with more, each class has its own curves in the evaluation."
    ),
    "too_many_jobs": Meaning(422, "The study has too many jobs", "Try fewer losses, seeds or values; they multiply."),
    "too_few_runs": Meaning(422, "There are too few runs to compare", "Give each arm two seeds or more, and see why jobs failed."),
    "metric_mismatch": Meaning(422, "The metric does not fit the classes", "Choose the metric that the detail names."),
    "learner_mismatch": Meaning(
        422,
        "The learner does not fit the data",
        "Choose a learner of what the dataset holds, or leave `learner` out.",
    ),
    "loss_mismatch": Meaning(
        422,
        "The loss does not fit the classes",
        "Give the loss a weight for each class of the dataset, by the names they have there.",
    ),
    "headers_too_large": Meaning(431, "Too many or too large headers", "Send fewer or shorter headers."),
    "internal": Meaning(
        500, "The service failed", "It is ours to mend, and nothing was changed. The server's log tells why, under the `request_id`."
    ),
    "unavailable": Meaning(503, "The service cannot answer now", "Try again after `Retry-After` seconds."),
    "storage_full": Meaning(507, "No room is left", "Free some room on the server, and try again."),
}
"""The closed list: a client may rely on every `code` of an answer being one of these."""

JOB_CODES: dict[str, Meaning] = {
    "data": Meaning(422, "The table cannot be trained on as it is", "Do as `detail` and `hint` say; mostly the split or the columns."),
    "diverged": Meaning(422, "The loss was not finite", "A smaller learning_rate or weight_decay, or gentler class weights."),
    "out_of_memory": Meaning(500, "The device has too little memory", "A smaller batch_size or width, fewer columns, or another device."),
    "timeout": Meaning(500, "The job ran for too long", "A larger limits.max_runtime_s, or fewer epochs."),
    "pending_timeout": Meaning(500, "The job waited for too long", "A larger limits.max_pending_s, or more workers."),
    "lost_worker": Meaning(
        500, "Its workers were lost again and again", "Look at the hosts of the workers; retry the job once they are well."
    ),
}
"""Why a job can fail, besides `internal`: the `failure_class` of its `error`."""

STUDY_CODES: dict[str, Meaning] = {
    "comparison_failed": Meaning(
        500, "The arms could not be compared", "The `detail` says why; the jobs are there all the same, and `retry` compares them again."
    ),
}
"""Why a study can fail, besides `too_few_runs`: the `code` of its `error`."""

FILE_CODES: dict[str, Meaning] = {
    "archive_bomb": Meaning(422, "The archive unpacks to far more than it is", "Upload a plain archive of the images."),
    "bad_cell": Meaning(422, "A cell is not what its column's options say", "Correct the cell, or the type in options.columns."),
    "bad_image": Meaning(422, "A file of the archive is no image that can be read", "Mend or remove the file that the detail names."),
    "bad_labels_file": Meaning(422, "labels.csv does not fit the images", "Give it the columns file and label, and a row for each image."),
    "bad_delimiter": Meaning(422, "This character cannot part cells", "Use a comma, a semicolon, a tab or another plain character."),
    "bad_encoding": Meaning(
        422, "Bytes are not of the file's encoding", "Set options.encoding to the one it was saved in, such as cp1252."
    ),
    "damaged_archive": Meaning(422, "The archive is cut off or damaged", "Make and upload it again."),
    "damaged_gzip": Meaning(422, "The gzip data is cut off or damaged", "Compress and upload it again."),
    "damaged_parquet": Meaning(422, "The Parquet file cannot be read", "Write and upload it again."),
    "duplicate_column": Meaning(422, "Two columns have one name", "Rename one of them."),
    "duplicate_member": Meaning(422, "The archive holds a file twice", "Keep one of them."),
    "encrypted_archive": Meaning(422, "The archive is encrypted", "Make it without a password."),
    "format_mismatch": Meaning(422, "The content is of another format than options.format", "Correct the option or leave it out."),
    "gzip_bomb": Meaning(422, "It unpacks to far more than it is", "Upload it uncompressed, or as Parquet."),
    "ingest_crashed": Meaning(422, "Reading it ended again and again", "Upload it as Parquet; if that fails too, tell us, with the file."),
    "line_too_long": Meaning(422, "A line is longer than any row of a table", "Check the line ends, or whether this is the right file."),
    "missing_labels": Meaning(422, "Rows have no label", "Fill the labels in, or delete the rows."),
    "no_class": Meaning(422, "An image has no class", "Put it in a folder of its class's name, or list it in labels.csv."),
    "no_images": Meaning(422, "The archive holds no image", "Put the images of each class in a folder of its name."),
    "no_rows": Meaning(422, "There is a header and no row", "Upload a table with rows below the header."),
    "not_finite": Meaning(422, "A number is not finite", "Correct it, or list it in options.null_values."),
    "nul_byte": Meaning(422, "A NUL character stands in the text", "The file is binary or damaged: upload the table itself."),
    "one_class": Meaning(422, "Every row has the same label", "Choose another target."),
    "row_count_mismatch": Meaning(422, "Rows would have been lost", "Look for quotes that do not come in pairs, or save the file again."),
    "single_column": Meaning(422, "Every row has one field", "Set options.delimiter to what parts the cells."),
    "stray_line_end": Meaning(422, "A carriage return stands in a cell without quotes", "Remove it, or put the cell in quotes."),
    "target_not_classes": Meaning(422, "The target holds numbers or free text", "Choose a column of classes."),
    "too_few_fields": Meaning(422, "A line has fewer fields than the others", "Correct the line; quote cells that hold the delimiter."),
    "too_large_member": Meaning(422, "A file of the archive is too large", "Make the images smaller."),
    "too_many_columns": Meaning(422, "There are more columns than can be read", "Leave columns out."),
    "too_many_fields": Meaning(422, "A line has more fields than the others", "Correct the line; quote cells that hold the delimiter."),
    "too_many_members": Meaning(422, "The archive holds too many files", "Upload a part of them."),
    "too_many_pixels": Meaning(422, "Images have more pixels than can be read", "Make them smaller, or set options.image_size."),
    "unclosed_quote": Meaning(
        422, "A quoted cell does not end as it should", 'Close it before the delimiter; write a quote within it as "".'
    ),
    "unknown_label": Meaning(422, "The positive label is in no row", "Name one of the labels that the detail lists."),
    "unreadable_row": Meaning(422, "A row cannot be read for sure", 'Put the cell in quotes, and write a quote within it as "".'),
    "unsafe_archive": Meaning(
        422, "The archive holds a link, a device or a name that leads elsewhere", "Make it of plain files and folders, with relative names."
    ),
    "unsupported_column": Meaning(422, "A column is of a kind that is no cell of a table", "Leave it out, or write numbers or text."),
    "unsupported_format": Meaning(
        422, "The file is of a kind that is not read", "Write it as plain CSV or Parquet; images go in a zip or tar archive."
    ),
}
"""Why a file may not be readable, besides codes of the lists above: the `code` of a dataset's `error`."""
