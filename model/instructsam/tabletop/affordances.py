# Copyright 2026 instructsam_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What the things of the tabletop world are good for: the reasoning instructions.

Each affordance fits a set of categories.  `things` complete "something ..." or "an object ..." and
go into the sentence frames; `questions` stand alone.  The held-out wordings recombine words of the
train wordings, so that they test reading and not an untrained embedding.
"""
from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Affordance:
    """One use: the categories that serve it and its wordings, (train, held_out) each."""

    name: str
    categories: frozenset[str]
    things: tuple[tuple[str, ...], tuple[str, ...]]
    questions: tuple[tuple[str, ...], tuple[str, ...]]


def _use(name: str, categories: str, things: tuple[tuple[str, ...], tuple[str, ...]],
         questions: tuple[tuple[str, ...], tuple[str, ...]]) -> Affordance:
    return Affordance(name, frozenset(categories.split()), things, questions)


AFFORDANCES: tuple[Affordance, ...] = (
    _use('drink', 'mug bottle can',
         (('to drink from', 'that i can drink from', 'that holds a drink',
           'for when i am thirsty'),
          ('i can drink from when i am thirsty', 'that can hold a drink')),
         (('What can I drink from?', 'I am thirsty. What could I use?',
           'Which objects here could hold a drink?', 'What would help a thirsty person?'),
          ('I am thirsty. What can I drink from?', 'Which object could help a thirsty person?',
           'Which of these objects can hold a drink?'))),
    _use('hot drink', 'mug',
         (('for hot coffee', 'to drink hot tea from', 'that i can pour my coffee into',
           'with a handle on its side', 'made for coffee or tea'),
          ('to pour hot tea into', 'that is made for hot coffee')),
         (('What should I pour my hot tea into?', 'I just made coffee. What should I put it in?',
           'What has a handle?', 'What would I use for my morning coffee?'),
          ('I just made hot tea. What should I pour it into?', 'What should I put my coffee in?'))),
    _use('pour', 'bottle',
         (('to pour water from', 'with a narrow neck', 'that can be closed with a cap',
           'with a screw cap', 'that keeps juice or water fresh'),
          ('with a narrow neck and a cap', 'that i can pour juice from')),
         (('What can I pour water from?', 'What can be closed with a screw cap?',
           'I want to carry water on a walk. What should I take?', 'What has a narrow neck?'),
          ('What can I carry juice in on a walk?', 'What has a neck and a screw cap?'))),
    _use('canned', 'can',
         (('made of metal', 'that needs a can opener', 'that holds preserved food or soda',
           'that a magnet could lift'),
          ('made of metal that holds soda', 'that a can opener is made for')),
         (('What is made of metal?', 'What would I need a can opener for?',
           'What could a magnet lift?', 'Which object goes into the metal recycling?'),
          ('Which object is made of metal?', 'What needs a can opener?'))),
    _use('sealed drink', 'bottle can',
         (('a shop sells drinks in', 'that goes into the recycling after the drink is gone'),
          ('a shop sells soda or juice in',)),
         (('What do shops sell drinks in?', 'What could I buy in a drinks machine?'),
          ('What do shops sell soda in?',))),
    _use('eat', 'banana carrot',
         (('to eat', 'that i can eat', 'that is healthy to eat', 'for a hungry person',
           'that is food', 'that grows on a farm'),
          ('a hungry person can eat', 'that is healthy food')),
         (('What can I eat?', 'I am hungry. What could I eat here?', 'What is food?',
           'What would be a healthy snack?', 'What will go bad if nobody eats it?'),
          ('I am hungry. What is healthy to eat?', 'Which object here is food that I can eat?'))),
    _use('peel', 'banana',
         (('to peel before eating', 'a monkey would love', 'that is a fruit',
           'that is sweet to eat', 'that grows on a tropical tree'),
          ('that is sweet for a monkey', 'that i peel before eating')),
         (('What do I have to peel before eating?', 'What would a monkey like best?',
           'Which object is a fruit?', 'What could go into a fruit salad?'),
          ('What fruit would a monkey love?', 'What do I have to peel?'))),
    _use('vegetable', 'carrot',
         (('to feed a rabbit', 'a rabbit would love', 'that is a vegetable',
           'for the nose of a snowman', 'that grows under the ground'),
          ('a rabbit would eat', 'that a snowman has for a nose')),
         (('What should I feed the rabbit?', 'What would a horse like to eat?',
           'What could be the nose of a snowman?', 'Which object is a vegetable?',
           'What grows under the ground?'),
          ('What vegetable would a rabbit like?', 'What would the rabbit love to eat?'))),
    _use('bounce', 'ball',
         (('to bounce', 'that bounces', 'to play catch with', 'to kick',
           'that rolls off the table easily', 'that is perfectly round for throwing'),
          ('that is round and rolls easily', 'to throw and catch')),
         (('What can I bounce?', 'What would roll off the table most easily?',
           'What can we throw and catch?', 'What would a dog fetch?',
           'Which object could I kick in the garden?'),
          ('What would a dog like to catch?', 'What can I throw and bounce?'))),
    _use('stack', 'cube box',
         (('to stack', 'with flat faces for a tower', 'to build a tower with',
           'with corners and flat sides'),
          ('to stack for a tower', 'with flat sides to build with')),
         (('What can I stack?', 'What could I build a tower with?',
           'Which objects have corners?', 'What has flat sides only?'),
          ('What can I stack to build a tower?', 'Which objects have flat faces and corners?'))),
    _use('die', 'cube',
         (('with six equal faces', 'with all sides equal', 'shaped like a die',
           'whose height and width are the same'),
          ('with six equal sides', 'that is like a die with equal sides')),
         (('What has six equal faces?', 'What is shaped like a die?',
           'Which object has the same height, width and length?'),
          ('What looks like a die?', 'Which object has equal faces?'))),
    _use('pack', 'box',
         (('to keep things in', 'to ship a gift in', 'that a parcel is made of',
           'to wrap as a gift', 'to pack small things into'),
          ('to pack a gift into', 'to keep small things in')),
         (('What could I ship a gift in?', 'What should I pack these small things into?',
           'What looks like a parcel?', 'What would the mail bring?'),
          ('What could I pack a gift into?', 'What can I keep small things in?'))),
    _use('soup', 'bowl',
         (('to hold soup', 'to eat soup from', 'for breakfast cereal', 'to mix a salad in',
           'that is deep and round for cereal'),
          ('that is deep to eat cereal from', 'to mix soup in')),
         (('What can I eat soup from?', 'What should I pour my cereal and milk into?',
           'What could I mix a salad in?', 'What would hold soup for dinner?'),
          ('What should I mix the cereal and milk in?', 'What can I pour soup into for dinner?'))),
    _use('serve', 'plate',
         (('to serve food on', 'to put a pizza on', 'that is flat and round for a meal',
           'to lay a sandwich on', 'to cut a steak on'),
          ('that is flat to put a sandwich on', 'to serve a pizza on')),
         (('What should I serve the food on?', 'What can I put a slice of pizza on?',
           'Where could I lay my sandwich?', 'What would I cut a steak on?'),
          ('What should I lay the pizza on?', 'Where could I put a slice of steak?'))),
    _use('tableware', 'mug bowl plate',
         (('that belongs in the dishwasher', 'to set the table with',
           'made of china for a meal'),
          ('to put in the dishwasher after a meal',)),
         (('What belongs in the dishwasher?', 'What should I set the table with?',
           'What has to be washed after a meal?'),
          ('What should be washed in the dishwasher?',
           'What do I set the table with for dinner?'))),
    _use('toy', 'ball cube',
         (('to play with', 'a child would play with', 'that is a toy',
           'that belongs in the toy chest'),
          ('a child has in the toy chest',)),
         (('What would a child play with?', 'What belongs in the toy chest?',
           'Which objects are toys?'),
          ('Which toy would a child play with?', 'Which toys are for a child?'))),
)

THING_FRAMES: tuple[tuple[str, ...], tuple[str, ...]] = (
    ('something {t}', 'something {t}', 'an object {t}', 'anything {t}'),
    ('some object {t}', 'some objects here {t}'))
"""Noun phrases of an affordance; `{t}` is one of its `things`."""
