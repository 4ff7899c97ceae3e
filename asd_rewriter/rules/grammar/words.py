"""Closed classes of English words, and what the lexicon packages do not say about nouns."""

from __future__ import annotations


def word_set(text: str) -> frozenset[str]:
    """Return the words of a text."""
    return frozenset(text.split())


DETERMINERS = word_set(
    "a an the this that these those his her its their my your our some each every another both"
)
PRONOUNS = word_set("it he she they this that these those you we")
BE = word_set("is are was were")
AUXILIARIES = BE | word_set("does do did can could has have had will would should might must")
RELATIVES = word_set("that who which whose where")
PREPOSITIONS = word_set(
    "on in at under underneath over above below behind beside between near by with from of to"
    " inside outside into onto around across along against through beneath among off toward"
    " towards next atop upon for about after before during without up down past like beyond"
)
POINTS = word_set("north south east west northeast northwest southeast southwest")
PLACE_PREPOSITIONS = word_set(
    "on in at under underneath over above below behind beside between near by inside outside"
    " next across along against around beneath among to atop through up down"
)
PLACE_ADVERBS = word_set("outside inside outdoors indoors upstairs downstairs here there nearby")
COLOURS = word_set(
    "red green blue yellow orange purple pink brown black white gray grey beige tan gold silver"
    " maroon navy teal turquoise violet cream khaki blond blonde brunette bronze magenta"
    " lavender burgundy peach aqua cyan indigo crimson olive ivory mauve salmon lime copper"
    " auburn rainbow multicolored multicoloured colorful clear transparent plaid striped tabby"
    " reddish bluish greenish yellowish brownish pinkish purplish dark light"
)
SHADES = word_set("light dark bright pale very deep dull hot neon navy royal sky lime forest off")
ADVERBS = word_set("very slightly mostly partly quite really extremely too fairly almost")
MASS = word_set(
    "tissue water grass snow sand food rice bread cheese meat beef chicken pork bacon ham salad"
    " soup juice milk coffee tea beer wine alcohol soda coke butter sugar salt pepper sauce ketchup"
    " mustard mayonnaise mayo honey jam jelly chocolate cream ice frosting icing pepperoni"
    " mozzarella spinach lettuce cabbage corn garlic celery basil parsley broccoli cauliflower"
    " asparagus fruit wood metal glass plastic leather cotton denim wool silk paper cardboard"
    " concrete cement stone brick steel iron aluminum porcelain ceramic tile rubber fur hair"
    " dirt mud gravel asphalt pavement smoke fog rain fire dust straw hay clothing jewelry"
    " furniture luggage baggage equipment architecture traffic"
    " tennis baseball soccer football basketball"
    " volleyball softball golf hockey rugby cricket polo badminton croquet bowling boxing"
    " wrestling ping-pong lacrosse frisbee skateboarding skiing snowboarding surfing swimming"
    " sailing cycling biking kiteboarding parasailing windsurfing wakeboarding racing parking"
    " fishing kayaking yoga lunch breakfast dinner cereal oatmeal pasta spaghetti sushi seafood"
    " fish shrimp cake pizza pie candy wheat marble granite tape makeup foil lace linen velvet"
    " nylon polyester carpet fabric cloth wicker bamboo graffiti art music whiskey vodka"
    " lemonade syrup oil vinegar toothpaste shampoo soap lotion text vanilla perfume deodorant"
    " medicine sunshine moss ivy foliage vegetation greenery shrubbery underwear footwear toast"
    " tofu yogurt guacamole salsa gravy turkey lamb steak clay wax hardwood champagne"
    " whipped cocoa mulch algae seaweed lava steam mist frost hail lightning electricity cash money"
    " meat dough flour batter land rainfall precipitation calcite quartz talc limestone sandstone"
    " slate pumice basalt obsidian mica shale chalk coal farmland grassland woodland flannel"
)
PAIRS = word_set(
    "glasses sunglasses scissors goggles binoculars pliers tongs jeans shorts pants trousers"
    " headphones tweezers"
)
"""Single things with plural names: a pair of scissors."""
BALLS = word_set("baseball football basketball volleyball softball frisbee")
PLURAL_ONLY = word_set(
    "people police cattle jeans pants shorts scissors sunglasses glasses goggles clothes"
    " trousers headphones earphones binoculars tongs pliers pajamas leggings tights fries men"
    " women children feet teeth mice geese bricks khakis sweatpants overalls sandals pedestrians"
    " skis vegetables ml oz kg cm mm lbs mph flip-flops headphones tweezers crackers"
)
COUNT = word_set(
    "tv nightstand cellphone skateboarder snowboarder selfie labrador frisbee dvd suv wetsuit"
    " backpack skatepark laptop wii xbox smartphone iphone ipod ipad hotdog airplane motorcycle"
    " motorbike bike bicyclist cyclist surfer skier crosswalk streetlight stoplight ottoman"
    " armchair bookshelf bookcase countertop toilet microwave refrigerator fridge toaster"
    " blender dishwasher hoodie t-shirt tshirt sweatshirt flipflop snowboard kiteboard"
    " paddleboard rickshaw tuk-tuk chihuahua rottweiler dachshund pitbull husky corgi dalmatian"
    " pug beagle hatchback minivan jeep semi trolley tram monorail toothbrush hairbrush keyboard"
    " touchpad monitor remote joystick controller umbrella elephant donut doughnut croissant"
    " bagel burrito taco quesadilla cupcake muffin waffle pancake smoothie milkshake latte"
    " cappuccino barista referee umpire goalie catcher batter pitcher adult male female teenager"
    " toddler goose mouse cafe teddy native potential musical novel magazine daily weekly"
    " periodical square oval rectangle sheep deer bison moose reindeer aircraft country citizen"
    " plane fork dress uniform house forest sky burger peach seagull net piano counter game head"
    " shadow reflection pilot log traffic-light chief model author player card giant miniature"
    " chef clerical commercial individual animal human mammal reptile plant vegetable container"
    " cover antique original mobile website webpage modality hashtag username app bunting terrier"
    " storefront cop daughter pedestrian teen pickup beanie bandana pan closet bar root seed hip"
    " dam roundabout trial cherry light"
)
"""Count nouns that the lexicon does not know, or knows as adjectives too."""
MASS_OR_NOUN = word_set(
    "wood metal glass plastic leather cotton denim wool silk paper cardboard concrete stone"
    " brick steel iron rubber ceramic tile marble granite wicker bamboo"
)
"""Materials: bare after "made of", and before a noun ("a brick building")."""
ING_NOUNS = word_set(
    "building painting drawing ring king string railing wing ceiling clothing frosting icing"
    " awning wedding earring swing sling meeting crossing landing stuffing dressing pudding"
    " thing spring sibling evening morning dumpling stocking lightning viking pairing herring"
)
COMPOUND = word_set(
    "pizza sandwich cake soup juice tea bread sauce shoe tree ball bus train window floor road"
    " fence glove sock tie bear racket door salad burger pie muffin donut doughnut sign bottle box"
    " can jar bag carton packet tube pod bar court field station shop store"
)
"""Nouns whose kinds are named before them: a tennis ball, a pepperoni pizza, tennis shoes."""
ATTRIBUTES = word_set(
    "name brand number price time date year capital word score temperature genre author flavor"
    " flavour make model edition version publisher manufacturer language currency address day"
    " month plate country city state team nationality gender speed limit denomination logo"
    " writer artist company airline station destination street website url letter phrase code"
    " maker amount percentage value colony continent ocean airport route initial surname"
    " password channel age height total sum"
)
"""Heads of "What is the ...?" whose answers are taken as they are written."""
FIGURED = word_set("number price year temperature age score total sum amount limit speed height")
"""Heads of "What is the ...?" that are told in figures."""
UNCERTAIN_HEADS = word_set(
    "point difference result matter main best rest lady's man's woman's this that"
)
ROLES = word_set(
    "job profession occupation purpose reason relationship meaning expression position"
    " problem theme function role effect cause topic opposite status use emotion feeling advice"
    " warning conclusion step action"
)
"""Heads of "What is the ...?" whose answers may be anything: they are put in quotation marks."""
KINDS = word_set("piece item kind type sort style breed variety species form flavor flavour")
BRANDS = word_set("brand make model")
WRITTEN_NOUNS = word_set("word words letter letters phrase text name message sentence title")
NAMED_NOUNS = word_set("number year time date price age score")
NAMED_ONLY = word_set("brand make model team street song movie channel")
"""What has names but no kinds: this is the brand "Dove"."""
PROPER_KINDS = word_set(
    "company airline brand city country state continent colony store restaurant bank website"
    " airport ocean island planet who language holiday river mountain day month lake province"
)
THINGS = word_set(
    "animal object furniture vehicle fruit vegetable food bird dog cat insect fish flower plant"
    " tree item thing device appliance sport game room utensil instrument tool building breed"
    " category dish meal drink beverage container toy machine structure place meat clothing"
    " electronic shop activity event aircraft equipment dessert berry herb condiment topping pet"
    " mammal reptile art fabric material surface area landscape weapon gadget craft accessory"
    " sauce organ species spice liquid pastry snack ingredient fungus mushroom toppings"
)
"""Nouns whose kinds are common nouns, even when an answer is written with a capital."""
UNSURE = frozenset(
    {
        "unanswerable", "unknown", "unsuitable", "unsuitable image", "none", "nothing", "n/a", "na",
        "not sure", "yes", "no", "no one", "nobody", "can't tell", "cannot tell", "i don't know",
        "not possible", "unclear", "unreadable", "other", "both", "neither", "either", "all",
        "everything", "everyone", "everybody", "nowhere", "don't know", "idk", "not visible", "it",
        "not there",
        "maybe", "any", "same", "different", "all of the above", "none of the above",
        "nothing visible", "too blurry", "blurry", "true", "false", "someone", "something",
    }
)  # fmt: skip
"""Answers that are no answers: asked about in the fallback wording only."""
SIDES = ("left", "right", "front", "back", "top", "bottom")
ON = word_set(
    "beach street road sidewalk table couch sofa bed floor ground wall desk counter plate shelf"
    " roof hill boat bus train plane bench chair stove ramp horse elephant skateboard surfboard"
    " runway tracks track court left right platform pole head neck wrist finger motorcycle bike"
    " bicycle porch deck balcony countertop nightstand dresser grass pavement farm stairs"
)
IN = word_set(
    "kitchen room bathroom bedroom park city forest sky water ocean sea lake river box bowl"
    " field snow basket background foreground garden yard hallway closet office air mirror woods"
    " desert mountains cage barn pen pool sink toilet refrigerator fridge oven microwave drawer"
    " middle center centre corner classroom hospital hotel garage kennel vase cup mug"
    " lobe lung lungs brain liver kidney spleen chest abdomen ventricle hemisphere cortex restroom"
)
AT = word_set(
    "airport station zoo home restaurant school museum stadium intersection market bus-stop"
)
DURING = word_set("day daytime nighttime winter summer spring autumn fall christmas halloween")
PARTS_OF_DAY = word_set("morning afternoon evening")
NUMBER_WORDS = word_set(
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen"
    " fifteen sixteen seventeen eighteen nineteen twenty thirty forty fifty hundred"
)
QUANTITIES = word_set("several many numerous dozens hundreds thousands lots")
