"""Bugs in the reading of older tools' files."""

from mutants.mutant import Mutant

PLACE = "daemon/source/foreign/"
FILES, TYPED = "tests/unit/test_foreign_files.py", "tests/unit/test_foreign_typed.py"
CSV, DOCUMENTS = "tests/unit/test_foreign_csv.py", "tests/unit/test_foreign_documents.py"

FOREIGN = (
    Mutant(
        "foreign: a position is counted from the page",
        "whoever goes on twice reads rows again, or leaves some out",
        PLACE + "reader.py",
        "            yield Page(rows, str(position), size)",
        "            yield Page(rows, str(len(rows)), size)",
        FILES,
    ),
    Mutant(
        "foreign: the last page is dropped",
        "the last rows of each file are missing",
        PLACE + "reader.py",
        "    if rows:\n",
        "    if False:\n",
        FILES,
    ),
    Mutant(
        "foreign: another file under the same name is read",
        "a position means nothing there",
        PLACE + "places.py",
        "    if _identity(os.fstat(body.fileno())) != found.identity:",
        "    if False:",
        FILES,
    ),
    Mutant(
        "foreign: an archive that was cut short is at its end",
        "the rows behind the cut are missing",
        PLACE + "unpacked.py",
        "    if not unpacker.eof:",
        "    if False:",
        FILES,
    ),
    Mutant(
        "foreign: members of maps are taken for types",
        "attributes named s become S",
        PLACE + "typed.py",
        "{name: typed_value(member,",
        "{name.upper(): typed_value(member,",
        TYPED,
    ),
    Mutant(
        "foreign: half a scan is a whole one",
        "what lies behind NextToken is missing",
        PLACE + "documents.py",
        "        if more:",
        "        if False:",
        DOCUMENTS,
    ),
    Mutant(
        "foreign: the Count of a scan is not compared",
        "items that were cut out are missing",
        PLACE + "documents.py",
        "said.Count != count and not paged",
        "said.Count != count and paged",
        DOCUMENTS,
    ),
    Mutant(
        "foreign: a line of CSV is a row",
        "a newline in quotes makes two broken rows",
        PLACE + "csv_files.py",
        "        return _quoted(lines(blocks), options)",
        "        return ((n, next(csv.reader([_text(n, line)]), [])) for n, line in lines(blocks))",
        CSV,
    ),
    Mutant(
        "foreign: NULL is empty text",
        "attributes appear that DMS leaves out",
        PLACE + "row_mapping.py",
        "        if column.nullable:\n            return None",
        "        if column.nullable:\n            return ''",
        CSV,
    ),
    Mutant(
        "foreign: a key made of a NULL is a key",
        "different rows get one key",
        PLACE + "row_mapping.py",
        "        self._whole_keys(texts)\n",
        "",
        CSV,
    ),
)
