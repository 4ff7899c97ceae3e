"""Classes of common answers: what makes a wrong answer plausible, and who may do something."""

from __future__ import annotations

from asd_rewriter.rules.grammar.words import (
    COLOURS,
    DETERMINERS,
    PLACE_ADVERBS,
    PREPOSITIONS,
    SHADES,
    word_set,
)

_CLASSES = {
    "person": """
man woman boy girl person people child children kid kids baby lady guy men women adult teenager
player batter pitcher catcher umpire referee goalie skier snowboarder surfer skateboarder cyclist
bicyclist biker rider jockey cowboy driver pilot captain sailor soldier officer policeman police
cop firefighter fireman doctor nurse dentist surgeon teacher student coach chef cook baker waiter
waitress bartender farmer fisherman worker builder carpenter plumber painter artist singer
musician drummer guitarist dancer actor actress photographer cameraman reporter lawyer judge
priest nun king queen prince princess bride groom mother father mom dad parent son daughter
brother sister grandmother grandfather couple family crowd team audience passenger pedestrian
tourist shopper customer vendor clerk cashier boss secretary businessman scientist clown magician
model swimmer runner spectator fan neighbor friend owner president teen toddler gentleman
conductor guard""",
    "animal": """
dog dogs cat cats horse horses cow cows sheep goat goats pig pigs bird birds duck ducks goose
geese swan chicken hen rooster turkey pigeon pigeons seagull seagulls owl eagle hawk parrot
penguin ostrich flamingo crow robin sparrow elephant elephants giraffe giraffes zebra zebras lion
tiger bear bears cheetah leopard monkey gorilla ape orangutan kangaroo koala panda deer moose elk
antelope bison buffalo camel donkey mule bull calf lamb ram fox wolf rabbit squirrel mouse rat
hamster beaver otter seal whale dolphin shark fish goldfish turtle frog toad lizard snake
alligator crocodile bee butterfly spider ant fly crab lobster octopus jellyfish snail puppy kitten
foal pony poodle terrier retriever labrador shepherd collie beagle bulldog pug dalmatian husky
bunting""",
    "food": """
pizza sandwich burger hamburger cheeseburger hotdog fries salad soup pasta spaghetti rice bread
toast bagel bun cheese egg eggs bacon ham sausage steak meat beef pork chicken shrimp sushi taco
burrito cake cupcake cookie cookies pie donut donuts doughnut doughnuts muffin pancake pancakes
waffle waffles croissant chocolate candy icecream banana bananas apple apples orange oranges lemon
lime grapes grape strawberry strawberries blueberries pear peach pineapple watermelon melon kiwi
cherry mango broccoli carrot carrots potato potatoes tomato tomatoes onion onions lettuce spinach
cabbage corn peas beans mushroom mushrooms pepper peppers cucumber celery garlic olives pepperoni
ketchup mustard mayonnaise sauce butter jam jelly honey sugar salt cereal oatmeal yogurt noodles
dessert ingredients basil dough flour syrup icing frosting""",
    "drink": """
water coffee tea milk juice soda coke pepsi beer wine champagne lemonade smoothie milkshake latte
espresso cappuccino cocktail vodka whiskey rum alcohol""",
    "vehicle": """
car cars bus buses truck trucks van train trains tram trolley plane planes airplane airplanes jet
helicopter boat boats ship sailboat yacht canoe kayak ferry bike bikes bicycle bicycles motorcycle
motorcycles scooter moped taxi cab ambulance tractor trailer wagon carriage cart jeep suv sedan
minivan pickup limousine rickshaw""",
    "clothing": """
shirt t-shirt tshirt blouse sweater jacket coat suit vest hoodie sweatshirt dress skirt pants
jeans shorts trousers leggings tie scarf hat cap helmet hood beanie bonnet gloves glove mittens
shoes shoe sneakers boots sandals flip-flops socks sock belt apron uniform robe gown swimsuit
bikini wetsuit glasses sunglasses goggles watch necklace bracelet earring earrings ring mask wig
bandana crown backpack purse handbag""",
    "furniture": """
table desk chair chairs couch sofa bed bench stool ottoman dresser nightstand cabinet shelf
shelves bookshelf bookcase wardrobe armchair recliner crib drawer hutch""",
    "object": """
bat racket ball bottle cup mug glass plate bowl fork knife spoon chopsticks tray pan pot phone
cellphone laptop computer keyboard remote television tv clock lamp camera umbrella bag suitcase
briefcase basket box book newspaper magazine paper pen pencil scissors knife towel pillow blanket
curtain mirror vase candle toothbrush soap sink toilet bathtub oven stove microwave refrigerator
fridge toaster blender controller frisbee kite skateboard surfboard snowboard skis skateboards
poles wheel tire ladder rope hammer drill screwdriver wrench shovel broom hose flag sign balloon
toy doll fence pole stapler tape teapot kettle frame mortar guitar piano violin drum drums trumpet
flute""",
    "material": """
wood metal glass plastic leather cotton denim wool silk paper cardboard concrete cement stone
brick bricks steel iron aluminum porcelain ceramic tile tiles rubber clay marble granite wicker
bamboo fabric straw hardwood linen velvet wax gold silver bronze copper""",
    "place": """
kitchen bathroom bedroom office garage hallway closet basement attic classroom library restaurant
cafe bar hotel hospital airport station museum zoo farm park beach forest desert mountain
mountains city street road sidewalk highway field yard garden lake river ocean sea pool stadium
market mall store shop church school""",
    "sport": """
tennis baseball soccer football basketball volleyball softball golf hockey rugby cricket
skateboarding skiing snowboarding surfing swimming sailing cycling boxing wrestling badminton
bowling frisbee gymnastics polo lacrosse""",
    "language": """
english french spanish german italian portuguese dutch danish swedish norwegian finnish russian
ukrainian czech hungarian romanian greek turkish arabic hebrew persian hindi urdu bengali tamil
telugu chinese mandarin cantonese japanese korean thai vietnamese indonesian malay swahili latin""",
    "meal": "breakfast lunch dinner brunch supper",
    "season": "spring summer fall autumn winter",
    "daytime": "morning noon afternoon evening night midnight dawn dusk sunset sunrise daytime",
    "weather": """
sunny cloudy rainy overcast foggy stormy windy snowy clear raining snowing hazy humid""",
    "side": "left right top bottom middle center centre front back up down straight",
    "size": "small large big little medium tall short huge tiny long wide narrow low high",
    "feeling": """
happy sad angry grumpy bored tired scared surprised excited proud calm confused annoyed sadness
happiness anger fear joy surprise disgust""",
    "shape": """
round square circle rectangle rectangular triangle triangular oval octagon octagonal diamond
hexagon heart star circular cylinder""",
}  # fmt: skip
_OF_WORD = {word: name for name, text in _CLASSES.items() for word in text.split()}
_OF_WORD |= dict.fromkeys(COLOURS, "colour")
_OF_WORD |= dict.fromkeys(PLACE_ADVERBS, "whereabouts")
_COLOURED = COLOURS | SHADES | word_set("and")


def class_of(answer: str) -> str:
    """Return the class of an answer's last word (animal, colour ...), or "" for none."""
    before, _, last = answer.rpartition(" ")
    found = _OF_WORD.get(last) or _OF_WORD.get(last.lower(), "")
    if not found or not before:
        return found
    words = before.split()
    if found == "colour":
        return found if all(word in _COLOURED for word in words) else ""
    if len(words) > _MOST or not _NOT_BEFORE.isdisjoint(words[words[0] in DETERMINERS :]):
        return ""
    return found


_MOST = 3
_NOT_BEFORE = DETERMINERS | PREPOSITIONS | {"and", "or"}
