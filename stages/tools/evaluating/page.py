"""The page of an evaluation: what its numbers say, in words, tables and pictures."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from stages.core.outputs import whole_file
from stages.reports import content
from stages.reports.content import Picture, Section, Share, Table, percent
from stages.reports.recognition import FEW, rank_1, tar
from stages.tools.evaluating import pictures
from stages.tools.evaluating.photos import FOUND, HIDDEN, NO_FACE, NO_PERSON

OURS = "evaluate*"  # pattern of all files that an evaluation writes
PAGE, JSON, PHOTOS, ROC = "evaluate.html", "evaluate.json", "evaluate-photos.csv", "evaluate-roc.png"
WORDS = {
    "bare-bare": "two bare photos",
    "masked-bare": "a masked photo and a bare one",
    "masked-masked": "two masked photos",
}
OUTCOMES = {
    FOUND: "a face was found",
    NO_FACE: "no face was found",
    NO_PERSON: "lies in no person's folder",
    HIDDEN: "hidden file",
    "unreadable": "cannot be read as a photo",
    "empty": "empty file",
    "too_large": "too many pixels",
}
TOLD_AT, SOME = ("0.01", "0.1"), 10  # FARs of the first sentence, and pairs of two people on which it must rest
FEW_MASKED = 0.05  # share of the faces, below which masks that are seen may be errors
NAMED = 100  # files that are not used, on the page; the CSV has all
ABOUT_TAR = (
    "TAR: how many of the pairs of one person are accepted, in %, at a threshold that lets a small part of the pairs "
    "of two people slip through (FAR). AUC: how often a pair of one person has the higher score. In round brackets the "
    "interval of 95 % over people. In square brackets, where a figure rests on few pairs of two people, how many these "
    f"are: below {FEW} one pair more or less changes it."
)
ABOUT_RANK = (
    "Of each person the first photo by name in which a face was found is in the gallery, the others are looked for in "
    "it. Rank-1: how many of these, in %, have their person come first. FNIR at FPIR 10 %: how many are missed, where "
    "half of the people are not in the gallery, and an alarm is raised for one in ten of these."
)
ABOUT_MASKS = (
    "Nobody labeled these photos: a network said who wears a mask, and it errs now and then. Look for faces on the "
    "wrong side."
)


def figures(numbers: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Return the main figures by series, those of a list among them."""
    listed = {"list": numbers["list"]} if numbers["list"] else {}
    found: dict[str, dict[str, Any]] = {
        name: {"auc": of["auc"], "tar_at_far": of["tar_at_far"]}
        for name, of in {**numbers["verification"], **listed}.items()
    }
    for name, of in numbers["identification"].items():
        found.setdefault(name, {})["rank_1"] = of["rank"]["1"]
    return found


def write(out: Path, numbers: Mapping[str, Any], not_used: Sequence[tuple[str, str]]) -> None:
    """Write the page into the folder in which its pictures are.

    Args:
        out: the folder.
        numbers: as in the JSON.
        not_used: files of which no face is compared, and why.
    """
    values = {
        "title": f"{numbers['recognizer']['name']} on {numbers['folder']}",
        "sentence": sentence(numbers),
        "pictures": [],
        "sections": [section for section in _sections(out, numbers, not_used) if section.tables or section.pictures],
    }
    with whole_file(out / PAGE) as staging:
        staging.write_text(content.rendered("page.html.j2", values), encoding="utf-8")


def sentence(numbers: Mapping[str, Any]) -> str:
    """Return the main figures in words."""
    photos, name = numbers["photos"], numbers["recognizer"]["name"]
    said = [
        f"{_n(photos['photos'], 'photo')} of {_n(photos['people'], 'person', 'people')}: a mask is seen on "
        f"{photos['masked']} faces, none on {photos['found'] - photos['masked']}"
        + (
            f", and in {_n(photos['photos'] - photos['found'], 'photo')} no face was found."
            if photos["photos"] > photos["found"]
            else "."
        )
    ]
    verified = {series: numbers["verification"].get(series) for series in ("bare-bare", "masked-bare")}
    told = {series: of for series, of in verified.items() if of}
    far = next((far for far in TOLD_AT if all(of["impostors_at_far"].get(far, 0) >= SOME for of in told.values())), "")
    if told and far:
        shares = [
            f"{percent(of['tar_at_far'][far])} % of the pairs of {WORDS[series]} of one person"
            for series, of in told.items()
        ]
        slip = f"{100 * float(far):g} % of the pairs of two people slip through"
        said.append(f"{name} accepts {' and '.join(shares)}, where {slip}.")
    if identified := numbers["identification"].get("masked-bare"):
        said.append(
            f"It identifies {percent(identified['rank']['1'])} % of the masked photos in a gallery of "
            f"{_n(identified['gallery'], 'bare photo')}, one a person."
        )
    if listed := numbers["list"]:
        said.append(f"On the list of {listed['listed']} pairs its AUC is {percent(listed['auc'])} %.")
    return " ".join(said)


def _n(n: int, one: str, many: str = "") -> str:
    return f"{n} {one if n == 1 else many or f'{one}s'}"


def _sections(out: Path, numbers: Mapping[str, Any], not_used: Sequence[tuple[str, str]]) -> list[Section]:
    verified, listed, photos = numbers["verification"], numbers["list"], numbers["photos"]
    n_lost = photos["photos"] - photos["found"]
    lost = (
        f"No face was found in {_n(n_lost, 'photo')}. As nobody knows whether these show a mask, they count as bare. "
        "Their pairs are rejected at every threshold; the folded table leaves them out."
        if n_lost
        else ""
    )
    return [
        Section(
            "verification",
            "Are these two the same person?",
            ABOUT_TAR,
            [
                *_verified({WORDS[name]: of for name, of in verified.items()}, lost),
            ],
            _picture(out, ROC, "True over false accepts, by how strict the threshold is"),
        ),
        Section("list", "The list of pairs", _about_list(listed), _of_list(listed) if listed else []),
        Section(
            "identification",
            "Who is it?",
            ABOUT_RANK,
            [Table([_identified(name, of) for name, of in numbers["identification"].items()])]
            if numbers["identification"]
            else [],
        ),
        Section(
            "not-computed",
            "What could not be computed",
            "",
            [Table([{"what": what, "why": why} for what, why in numbers["not_computed"].items()], words=True)]
            if numbers["not_computed"]
            else [],
        ),
        Section(
            "worst",
            "Where it errs most",
            "The two photos of one person that are least alike, and those of two people that are most alike, by their "
            "numbers in the picture. A pair of one person that shows two people is a photo in the wrong folder.",
            [Table([_pair(pair) for pair in numbers["worst"]], "All of these pairs", folded=True, words=True)]
            if numbers["worst"]
            else [],
            _picture(out, pictures.WORST, "Pairs, and their scores (cosines)"),
        ),
        Section(
            "masks",
            "Who wears a mask",
            ABOUT_MASKS + _few_masked(photos),
            [],
            _picture(out, pictures.MASKS, "Faces as they were aligned"),
        ),
        Section(
            "photos",
            "Photos",
            f"{PHOTOS} beside this page says of each file what came of it.",
            [Table(_photos(photos)), *_not_used(not_used)],
            _picture(out, pictures.NOT_FOUND, "Photos in which no face was found"),
        ),
        Section("how", "How", "", [Table(_how(numbers["recognizer"]), words=True)]),
    ]


def _verified(found: Mapping[str, Mapping[str, Any]], text: str = "") -> list[Table]:
    """Return a table of what is compared, in words, and another one of the pairs of which both faces were found."""
    known = {far for of in found.values() for far, share in of["tar_at_far"].items() if share is not None}
    fars = sorted(known, key=float, reverse=True)
    rows = [
        {
            "compared": words,
            "pairs of one person": f"{of['pairs']['genuine']:,}",
            "pairs of two people": f"{of['pairs']['impostor']:,}",
            **_rates(of, fars),
        }
        for words, of in found.items()
    ]
    tables = [Table(rows, text=text)] if rows else []
    if any(share for of in found.values() for share in of.get("not_found", {}).values()):
        both = [
            {"compared": words, **_rates(of["compared"], fars)} for words, of in found.items() if of.get("compared")
        ]
        tables += [Table(both, "Only pairs of which both faces were found", folded=True)] if both else []
    return tables


def _rates(of: Mapping[str, Any], fars: Sequence[str]) -> dict[str, str]:
    interval = of.get("interval", {})
    return {
        "AUC": str(Share(of["auc"], **(interval.get("auc") or {}))),
        "EER": percent(of["eer"]),
        **{f"TAR at FAR {100 * float(far):g} %": str(tar({"interval": {}, **of}, far)) for far in fars},
    }


def _few_masked(photos: Mapping[str, Any]) -> str:
    if not 0 < photos["masked"] < FEW_MASKED * photos["found"]:
        return ""
    return (
        f" A mask is seen on {photos['masked']} of {photos['found']} faces: so few may be its errors, and then what is "
        "said of masked photos means nothing."
    )


def _about_list(listed: Mapping[str, Any] | None) -> str:
    if not listed or not listed["missing"]:
        return ""
    return (
        f"Of {listed['listed']} pairs {listed['missing']} name a photo that is not there "
        f"({_n(listed['missing_photos'], 'photo')}, such as {', '.join(listed['first_missing'])}): these pairs are "
        "rejected at every threshold."
    )


def _of_list(listed: Mapping[str, Any]) -> list[Table]:
    parts = {f"of these, {WORDS[name]}": of for name, of in listed.get("by_masks", {}).items()}
    return _verified({"all pairs of the list": listed, **parts})


def _identified(series: str, of: Mapping[str, Any]) -> dict[str, str]:
    probe, _, reference = series.partition("-")
    return {
        "looked for": f"{probe} photos among {reference} ones",
        "in the gallery": f"{of['gallery']:,}",
        "photos looked for": f"{of['probes']:,}",
        "rank-1": str(rank_1(of)),
        **{f"rank-{k}": percent(share) for k, share in of["rank"].items() if k != "1"},
        "rank-1, faces found": percent(of["compared"]["rank"]["1"]) if of["compared"] else content.NONE,
        "FNIR at FPIR 10 %": percent(of.get("fnir_at_fpir", {}).get("0.1")),
    }


def _pair(pair: Mapping[str, Any]) -> dict[str, str]:
    one, other = pair["photos"]
    return {
        "number": str(pair["number"]),
        "compared": WORDS[pair["series"]],
        "they show": "one person" if pair["one_person"] else "two people",
        "score": f"{pair['score']:.3f}",
        "photo": one,
        "and photo": other,
    }


def _photos(photos: Mapping[str, Any]) -> list[dict[str, str]]:
    rows = {"files": photos["files"], **{OUTCOMES.get(name, name): n for name, n in photos["outcomes"].items()}}
    rows |= {
        "photos in which several faces are seen (the main one is taken)": photos["several_faces"],
        "people": photos["people"],
        "people of whom no face was found": photos["people_not_found"],
    }
    return [{"what": what, "how many": f"{n:,}"} for what, n in rows.items()]


def _not_used(files: Sequence[tuple[str, str]]) -> list[Table]:
    if not files:
        return []
    rows = [{"file": file, "why not": why} for file, why in files[:NAMED]]
    rest = f"The first {NAMED} of {len(files)}; {PHOTOS} has all." if len(files) > NAMED else ""
    return [Table(rows, f"Files of which no face is compared: {len(files)}", rest, folded=True, words=True)]


def _how(recognizer: Mapping[str, Any]) -> list[dict[str, str]]:
    rows = {
        "recognizer": recognizer.get("file", "dlib's network, of the package face_recognition_models"),
        **({"it takes": f"{recognizer['takes']}; {recognizer['said_by']}"} if "takes" in recognizer else {}),
        "faces": "found, and aligned by their landmarks, in each photo as it is; of several the main one",
        "embedding": "of the face and its mirror image, added up; scores are cosines",
        "protocol": "docs/protocol.md",
    }
    return [{"what": what, "how": how} for what, how in rows.items()]


def _picture(out: Path, name: str, title: str) -> list[Picture]:
    path = out / name
    return [Picture(title, content.data_url(path.read_bytes()))] if path.exists() else []
