"""Write the expected outputs anew."""

from tests.asd_rewriter.frozen import FOLDER, SETS, lines

if __name__ == "__main__":
    for name in SETS:
        text = "\n".join(lines(name)) + "\n"
        (FOLDER / f"{name}.expected.jsonl").write_text(text, encoding="utf-8")
