"""The menu Insert: a finding, a normal sentence, a measurement."""

from slicer.i18n import tr as _

QUANTITIES = ("longest_diameter", "short_axis", "volume", "mean_hu", "cardiothoracic_ratio")


class InsertMenu:
    """Filled when it is opened, because what can be inserted depends on the masks and on the cursor.

    Args:
        menu: QMenu. change: runs a function of the report and saves it.
        place: called without arguments; (sentence id or None, offset in it, section name or None) of the cursor.
        goTo: called with the id of an inserted sentence.
    """

    def __init__(self, menu, change, place, goTo):
        self.menu, self.change, self.place, self.goTo = menu, change, place, goTo
        self.report, self._parts = None, []
        menu.connect("aboutToShow()", self.fill)

    def fill(self):
        """Makes the entries anew."""
        self.menu.clear()
        for part in self._parts:
            part.deleteLater()  # clearing a menu leaves its submenus
        self._parts = []
        if self.report is None:
            return
        self._parts = [self.menu.addMenu(title) for title in (_("Finding"), _("Normal sentence"), _("Measurement"))]
        for part, fill in zip(self._parts, (self._fillFindings, self._fillNormal, self._fillMeasurements),
                              strict=True):
            fill(part)

    def insertFinding(self, finding, segmentId=None):
        """A sentence on a finding, from its mask where there is one, in the finding's section."""
        self._insert(lambda report: report.insert_finding(finding, segmentId))

    def insertNormal(self, region, text):
        """A normal sentence of a region."""
        self._insert(lambda report: report.insert_normal_sentence(region, text=text))

    def insertMeasurement(self, segmentId, quantity):
        """A measurement of a mask at the cursor; it follows the mask from then on."""
        sentence, offset, _section = self.place()
        if sentence is not None:
            self.change(lambda report: report.insert_measurement(sentence, offset, segmentId, quantity))

    def _insert(self, function):
        made = self.change(function)
        if made:
            self.goTo(made)

    def _fillFindings(self, menu):
        for title, rows in self._byRegion(self.report.findings):
            part = menu.addMenu(title)
            for row in rows:
                if len(row["segments"]) > 1:
                    choices = part.addMenu(row["name"])
                    for segment in row["segments"]:
                        self._action(choices, segment.replace("_", " "), self.insertFinding, row["name"], segment)
                else:
                    self._action(part, row["name"], self.insertFinding, row["name"], next(iter(row["segments"]), None))

    def _fillNormal(self, menu):
        from uvlm_core.labels import regions

        for region, title in regions().items():
            texts = self.report.normal_sentences(region)
            if texts:
                part = menu.addMenu(title)
                for text in texts:
                    self._action(part, text, self.insertNormal, region, text)

    def _fillMeasurements(self, menu):
        titles = {row["id"]: row.get("title") or row["id"].replace("_", " ") for row in self.report.segments}
        menu.setEnabled(self.place()[0] is not None)
        for segment, title in titles.items():
            rows = [row for row in self.report.measurements
                    if row["segment"] == segment and row["name"] in QUANTITIES]
            if rows:
                part = menu.addMenu(title)
                for row in rows:
                    unit = "" if row["unit"] in ("1", "") else f" {row['unit']}"
                    text = f"{row['name'].replace('_', ' ')}: {row['value']:.4g}{unit}"
                    self._action(part, text, self.insertMeasurement, segment, row["name"])

    @staticmethod
    def _byRegion(findings):
        from uvlm_core.labels import regions

        for region, title in regions().items():
            rows = [row for row in findings if row["region"] == region]
            if rows:
                yield title, rows

    @staticmethod
    def _action(menu, text, function, *arguments):
        action = menu.addAction(text.replace("&", "&&"))
        action.connect("triggered()", lambda: function(*arguments))
