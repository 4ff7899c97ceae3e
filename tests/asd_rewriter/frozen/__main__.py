"""Write the expected outputs, and the page of examples, anew."""

from tests.asd_rewriter.frozen import EXAMPLES, FOLDER, SETS, examples, lines

if __name__ == "__main__":
    for name in SETS:
        text = "\n".join(lines(name)) + "\n"
        (FOLDER / f"{name}.expected.jsonl").write_text(text, encoding="utf-8")
    EXAMPLES.write_text(examples(), encoding="utf-8")
