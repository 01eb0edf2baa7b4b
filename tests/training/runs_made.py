"""Runs that a test makes by hand."""

from densefn.training import folder


def seal(run_dir, *, over=True):
    """Ties the files that are in a folder together, as a run does; returns the folder."""
    names = [folder.CONFIG, folder.METRICS, folder.PREPARATION, folder.STATE, folder.MODEL, folder.RESULT]
    names += ["model.npz", "state.npz", folder.NOTES, folder.HISTOGRAMS, folder.CONFUSION, folder.PREDICTIONS]
    files = {name: folder.entry((run_dir / name).read_bytes()) for name in names if (run_dir / name).exists()}
    manifest = run_dir / folder.MANIFEST
    facts = folder.read(run_dir).facts if manifest.exists() else {"data": "", "settings": {}, "versions": {}}
    folder.Manifest(facts, [files], None if over else 1).write(run_dir)
    return run_dir
