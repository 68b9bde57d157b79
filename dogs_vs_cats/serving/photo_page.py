"""The page that photos are dropped on, as its visitors see it. Nothing dropped is written to disk."""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from html import escape

from nicegui import background_tasks, events, ui

from dogs_vs_cats.data.decoding.photos import RefusedPhotoError
from dogs_vs_cats.errors import WorkflowError
from dogs_vs_cats.serving.classifying import LARGEST_SENT, MOST_SENT
from dogs_vs_cats.serving.photo_cards import answer_card, facts, refusal_card, style
from dogs_vs_cats.serving.side_by_side import Seen, SideBySide

MEGABYTES = LARGEST_SENT // 10**6
_KEPT = 2 * MOST_SENT  # answers on the page, the latest ones
_REFUSALS = {
    "max-file-size": f"it has more than {MEGABYTES} MB",
    "max-files": f"it is more than {MOST_SENT} photos at a time; drop it again once the others have been sent",
    "duplicate": "it is being sent already",
}
# Files dropped beside the field would replace the page.
_DROP_ANYWHERE = """<script>
document.addEventListener("dragover", (event) => event.preventDefault());
document.addEventListener("drop", (event) => {
  event.preventDefault();
  getElement(%d).$refs.qRef.addFiles(event.dataTransfer.files);
});
</script>"""


@dataclass(frozen=True)
class Threads:
    """One for each kind of work: the largest photo takes 500 MB to decode, and answers need not wait for TensorFlow.

    Attributes:
        saying: decodes and classifies.
        looking: finds where the models look.
        room: for files, of all visitors, that are held for their answer.
    """

    saying: ThreadPoolExecutor
    looking: ThreadPoolExecutor
    room: asyncio.Semaphore


class Visit:
    """The page as one visitor has it: it ends, with all that was dropped, when the tab is closed.

    Args:
        models: what answers.
        threads: that it answers in.
    """

    def __init__(self, models: SideBySide, threads: Threads) -> None:
        self._models, self._threads = models, threads
        self._group: ui.element | None = None
        self._cards: list[ui.html] = []
        self._taken = self._done = 0
        ui.add_css(style())
        with ui.element("div").classes("content"):
            first, second = models.classes
            ui.html(escape(f"{first[:1].upper()}{first[1:]} or {second}?"), tag="h1")
            self._upload = self._lay_out_field()
            ui.html(facts(), sanitize=False)
            self._status = ui.label().props("role=status").classes("status")
            self._groups = ui.element("div")
        ui.add_body_html(_DROP_ANYWHERE % self._upload.id)

    def _lay_out_field(self) -> ui.upload:
        upload = ui.upload(
            multiple=True,
            auto_upload=True,
            max_file_size=LARGEST_SENT,
            max_files=MOST_SENT,
            on_upload=self._take,
        ).classes("drop")
        with upload.add_slot("header"), ui.element("div"):
            ui.html("Drop photos here", tag="p").classes("call")
            pick = f"() => getElement({upload.id}).$refs.qRef.pickFiles()"
            with ui.element("button").props("type=button").on("click", js_handler=pick):
                ui.html("or choose them", tag="span")
            limits = f"Up to {MOST_SENT} at a time, {MEGABYTES} MB each. They stay on this machine and are not kept."
            ui.html(limits, tag="p").classes("quiet")
        for event, told in (("rejected", "[one.file.name, one.failedPropValidation]"), ("failed", "[one.name, '']")):
            files = "entries" if event == "rejected" else "entries.files"
            send = f"(entries) => emit({files}.map((one) => {told}))"
            upload.on(event, self._refuse, js_handler=send)
        upload.on("finish", self._end_drop, args=[])
        return upload

    def _new_group(self) -> ui.element:
        """A place for the photos of one drop, above those of earlier ones."""
        with self._groups:
            group = ui.element("div")
        group.move(target_index=0)
        return group

    def _new_card(self, group: ui.element) -> ui.html:
        with group:
            card = ui.html("", sanitize=False)
        self._cards.append(card)
        while len(self._cards) > _KEPT:
            self._cards.pop(0).delete()
        return card

    def _end_drop(self) -> None:
        self._group = None
        self._upload.reset()

    def _refuse(self, event: events.GenericEventArguments) -> None:
        names: dict[str, list[str]] = {}
        for name, kind in event.args:
            names.setdefault(kind, []).append(name)
        group = self._new_group()
        for kind, refused in names.items():
            reason = _REFUSALS.get(kind, "it could not be sent; drop it again")
            self._show(self._new_card(group), refusal_card(", ".join(refused), reason))
        self._tell(taken=len(event.args), done=len(event.args))

    async def _take(self, event: events.UploadEventArguments) -> None:
        self._group = self._group or self._new_group()
        name, card = event.file.name, self._new_card(self._group)
        self._tell(taken=1)
        try:
            async with self._threads.room:
                loop, data = asyncio.get_running_loop(), await event.file.read()
                seen = await loop.run_in_executor(self._threads.saying, self._models.say, name, data)
            self._show(card, answer_card(self._models, name, seen))
            # In a task of its own: this one holds the file.
            background_tasks.create(self._look(card, name, seen))
        except (RefusedPhotoError, WorkflowError) as error:
            self._show(card, refusal_card(name, str(error)))
        except MemoryError:
            self._show(card, refusal_card(name, "it is too large for this machine's memory"))
        self._tell(done=1)

    async def _look(self, card: ui.html, name: str, seen: Seen) -> None:
        loop = asyncio.get_running_loop()
        try:
            # By its turn, the visitor may have gone.
            overlays = await loop.run_in_executor(
                self._threads.looking, lambda: None if card.is_deleted else self._models.look(seen)
            )
            self._show(card, answer_card(self._models, name, seen, overlays))
        except (WorkflowError, MemoryError) as error:
            self._show(card, answer_card(self._models, name, seen, note=str(error) or "out of memory"))

    @staticmethod
    def _show(card: ui.html, content: str) -> None:
        if not card.is_deleted:
            card.content = content

    def _tell(self, taken: int = 0, done: int = 0) -> None:
        self._taken += taken
        self._done += done
        self._status.text = f"{self._done} of {self._taken} files looked at"
