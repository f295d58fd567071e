/**
 * Shows a frame: moves and colours the atoms of an nglview pane. Called as a method of its view.
 *
 * @this {{stage: {compList: Object[]}}}  the view; its first component is the relaxing structure
 * @param {string} name          of the structure: nothing happens while another one is shown
 * @param {number[]} places      Å: x, y, z of each atom in turn
 * @param {number[]} distances   Å, one an atom: where it lies on the colour scale
 */
function showFrame(name, places, distances) {
  const component = this.stage.compList[0];
  if (component?.name !== name || !component.structure) return;
  component.structure.updatePosition(new Float32Array(places));
  component.structure.atomStore.bfactor.set(distances);
  component.updateRepresentations({ position: true, color: true });
}
