"""When two answers might both be right: spellings, plurals, synonyms, one part of the other."""

from __future__ import annotations

_SPELLINGS = (
    "color colour|gray grey|tv television telly|tshirt t-shirt tee|bike bicycle|couch sofa settee|"
    "phone cellphone telephone smartphone|plane airplane aeroplane jet aircraft|donut doughnut|"
    "theater theatre|center centre middle|tire tyre|fridge refrigerator|photo picture photograph "
    "image|racket racquet|doggie dog puppy|kitten kitty cat|man men guy guys gentleman male|"
    "woman women lady ladies female|child kid kids children|person people persons human humans|"
    "foot feet|tooth teeth|mouse mice|goose geese|knife knives|leaf leaves|shelf shelves|"
    "loaf loaves|wolf wolves|half halves|calf calves|hot-dog hotdog|motorbike motorcycle|"
    "car automobile auto|truck lorry|sidewalk pavement|street road|rug carpet|trash garbage "
    "rubbish|ketchup catsup|yogurt yoghurt|mom mother|dad father|sneaker trainer|spectacles "
    "glasses eyeglasses|blond blonde|wood wooden|beige tan|purple violet|teal turquoise|"
    "rooster cock|bathroom restroom washroom|stove oven|cup mug|ocean sea|stone rock|"
    "afternoon daytime day|outside outdoors outdoor|inside indoors indoor|pants trousers|"
    "luggage baggage|soccer football|frisbee disc|skateboard skateboarding|surfboard surfing|"
    "ski skiing|okay ok|st street|ave avenue|north-america america|usa us|"
    "round circle circular|rectangle rectangular|triangle triangular|octagon octagonal|"
    "cloudy overcast|sunny clear|rain rainy raining|snow snowy snowing|foggy fog misty|"
    "large big huge|small little tiny|fall autumn|night nighttime|none nothing 0|"
    "metal metallic steel iron aluminum aluminium|hat cap|laptop computer notebook|"
    "burger hamburger cheeseburger|cow cattle bull ox|sheep lamb|boat ship|forest woods|"
    "police policeman policewoman cop officer|sweater jumper pullover|soda pop coke|happy smiling"
)
_ONE_OF = {
    word: group.split()[0] for group in _SPELLINGS.split("|") for word in group.split()
}  # fmt: skip
_JOINERS = str.maketrans("", "", "-' .")


def too_close(one: str, two: str) -> bool:
    """Whether two normalised answers might both be right."""
    if one + "es" == two or two + "es" == one or one.translate(_JOINERS) == two.translate(_JOINERS):
        return True
    if " " not in one and " " not in two:
        return _word(one) == _word(two)
    words_one, words_two = _words(one), _words(two)
    return words_one <= words_two or words_two <= words_one


def _words(text: str) -> set[str]:
    return {_word(word) for word in text.split()}


def _word(word: str) -> str:
    return _ONE_OF.get(word) or _singular(word)


def _singular(word: str) -> str:
    if len(word) < 4 or word[-1] != "s" or word.endswith(("ss", "us")):
        return word
    if word.endswith("ies"):
        return word[:-3] + "y"
    bare = word[:-2] if word.endswith(("ches", "shes", "xes", "sses", "oes")) else word[:-1]
    return _ONE_OF.get(bare, bare)
