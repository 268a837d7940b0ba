"""The kinds of figures. The rules of the workflow read this: nothing that draws is imported here."""

KINDS = {
    "accuracy": "Accuracy by modality and fusion",
    "labels": "Use of labels",
    "costs": "Cost against accuracy",
    "gains": "Gain by class",
    "agreement": "Agreement of errors between modalities",
    "embeddings": "Maps of embeddings",
    "clips": "A clip in every modality",
    "curves": "Learning curves",
    "confusion": "Confusion matrices",
}
"""What each kind of figure is called, in the order of the report; a kind is a folder of figures."""
